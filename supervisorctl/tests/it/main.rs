//! The program against a daemon of our own making: what is asked, what is printed, how it ends.

mod acts;
mod completion;
mod fake;
mod foreign;
mod logs;
mod refusals;
mod scale;
mod send;
mod start;
mod status;
mod terminal;
mod up;
