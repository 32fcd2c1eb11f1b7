//! Packs what `install` installs, which takes a tenth of its room in the program then.

use std::error::Error;
use std::fs::File;
use std::io;
use std::path::PathBuf;

use flate2::Compression;
use flate2::write::GzEncoder;

const MANIFEST: &str = "../deploy/install.yaml";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={MANIFEST}");
    let packed = PathBuf::from(std::env::var("OUT_DIR")?).join("install.yaml.gz");
    let mut packed = GzEncoder::new(File::create(packed)?, Compression::best());
    io::copy(&mut File::open(MANIFEST)?, &mut packed)?;
    packed.finish()?;
    Ok(())
}
