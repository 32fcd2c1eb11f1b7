//! The controller of hosted k0s control planes.

pub mod apply;
pub mod args;
pub mod cluster;
mod health;
mod hosted;
mod join_token;
pub mod kubernetes;
pub mod metrics;
mod poller;
pub mod run;
