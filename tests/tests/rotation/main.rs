//! Rotation by size: whatever happens, every line is there once and in order over all files of its
//! stream, decompressed; and no other file is left in the folder.

mod burst;
mod hands;
mod killing;
mod storm;
