//! One layer of an image: a list of files, and the tar stream they become.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};
use tar::{EntryType, Header};

/// Files in the order in which they were added.
#[derive(Clone, Debug, Default)]
pub(super) struct Layer {
    entries: Vec<Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    path: String,
    mode: u32,
    owner: u32,
    content: Content,
}

#[derive(Clone, Debug)]
enum Content {
    Folder,
    Link(String),
    Bytes(Vec<u8>),
    Copy(PathBuf),
}

impl Layer {
    fn add(mut self, path: &str, mode: u32, owner: u32, content: Content) -> Self {
        self.entries.push(Entry {
            path: path.to_owned(),
            mode,
            owner,
            content,
        });
        self
    }

    pub(super) fn folder(self, path: &str, mode: u32, owner: u32) -> Self {
        self.add(path, mode, owner, Content::Folder)
    }

    pub(super) fn link(self, path: &str, target: &str) -> Self {
        self.add(path, 0o777, 0, Content::Link(target.to_owned()))
    }

    pub(super) fn text(self, path: &str, mode: u32, text: &str) -> Self {
        self.add(path, mode, 0, Content::Bytes(text.as_bytes().to_owned()))
    }

    /// A program of this machine.
    pub(super) fn program(self, path: &str, source: &Path) -> Self {
        self.add(path, 0o755, 0, Content::Copy(source.to_owned()))
    }

    /// Feeds everything that changes the layer into a digest. Programs go in by path, size and
    /// time of change: reading them all would take longer than everything else at start.
    pub(super) fn digest(&self, digest: &mut Sha256) -> Result<()> {
        for entry in &self.entries {
            digest.update(format!("{} {:o} {} ", entry.path, entry.mode, entry.owner));
            match &entry.content {
                Content::Folder => digest.update("folder"),
                Content::Link(target) => digest.update(target),
                Content::Bytes(bytes) => digest.update(bytes),
                Content::Copy(source) => {
                    let meta = source
                        .metadata()
                        .with_context(|| format!("looking at {}", source.display()))?;
                    digest.update(format!(
                        "{} {} {}.{}",
                        source.display(),
                        meta.len(),
                        meta.mtime(),
                        meta.mtime_nsec()
                    ));
                }
            }
            digest.update([0]);
        }
        Ok(())
    }

    pub(super) fn write(&self, to: impl Write) -> Result<()> {
        let mut tar = tar::Builder::new(to);
        for entry in &self.entries {
            let mut header = Header::new_gnu();
            header.set_mode(entry.mode);
            header.set_uid(u64::from(entry.owner));
            header.set_gid(u64::from(entry.owner));
            // The same contents must give the same digest.
            header.set_mtime(0);
            header.set_size(0);
            match &entry.content {
                Content::Folder => {
                    header.set_entry_type(EntryType::Directory);
                    tar.append_data(&mut header, &entry.path, std::io::empty())?;
                }
                Content::Link(target) => {
                    header.set_entry_type(EntryType::Symlink);
                    tar.append_link(&mut header, &entry.path, target)?;
                }
                Content::Bytes(bytes) => {
                    header.set_size(u64::try_from(bytes.len())?);
                    tar.append_data(&mut header, &entry.path, bytes.as_slice())?;
                }
                Content::Copy(source) => {
                    let file = File::open(source)
                        .with_context(|| format!("opening {}", source.display()))?;
                    header.set_size(file.metadata()?.len());
                    tar.append_data(&mut header, &entry.path, file)?;
                }
            }
        }
        tar.into_inner()?.flush()?;
        Ok(())
    }
}
