//! The program against a daemon of our own making: what is asked, what is printed, how it ends.

mod acts;
mod fake;
mod logs;
mod refusals;
mod start;
mod status;
mod up;
