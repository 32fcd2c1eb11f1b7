//! How a hosted cluster is reached: its Service, and what tells pods and workers the address. An
//! Ingress or a gateway goes here.

pub mod endpoint;
pub mod service;
