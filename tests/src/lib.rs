//! Real motherships on one machine, for the demo and for every suite.
//!
//! Two levels: [`light`] is an API server with its storage and controllers, up in seconds and
//! without root; [`full`] adds a node with pods, and worker machines that are apart from it.

pub mod access;
pub mod audit;
pub mod cli;
pub mod components;
pub mod demo;
pub mod failure;
pub mod full;
pub mod image;
pub mod light;
pub mod load;
pub mod machine;
pub mod paths;
pub mod pki;
pub(crate) mod plane;
pub mod ports;
pub mod progress;
pub mod proxy;
pub mod requirements;
pub mod state;
pub mod supervisor;
pub mod worker;

pub use access::Access;
pub use audit::Audit;
pub use full::{Full, FullOptions};
pub use image::Image;
pub use light::{Light, LightOptions};
pub use worker::{Worker, WorkerOptions};
