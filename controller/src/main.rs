//! The controller's binary.

use clap::Parser;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    Box::pin(controller::run::run(controller::args::Args::parse())).await
}
