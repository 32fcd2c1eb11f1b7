//! The webhook's binary.

use clap::Parser;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    webhook::run::run(webhook::args::Args::parse()).await
}
