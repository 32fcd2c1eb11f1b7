//! The harness itself: what it starts works, what it ends is gone, and its errors help.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stderr
)]

mod full;
mod light;
mod mistakes;
mod owners;
mod ready;
mod support;
