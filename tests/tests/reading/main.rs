//! `supervisorctl logs`: what it finds in files that are rotated, compressed or huge, and how it
//! follows them over whatever happens.

mod follow;
mod ranges;
