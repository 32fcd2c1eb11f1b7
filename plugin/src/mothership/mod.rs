//! What the plugin knows of the mothership: the connection, the kinds, and how their objects read.

pub mod checkup;
pub mod client;
pub mod event;
pub mod fetch;
pub mod release;
pub mod resources;
pub mod tree;
pub mod view;
