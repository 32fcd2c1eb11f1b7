//! Changes kubeconfig files on disk: one writer at a time, atomically, readable by their owner
//! alone, with the last state beside them.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tempfile::{NamedTempFile, PersistError};

use crate::error::{Error, innermost};
use crate::escape::quoted;
use crate::kubeconfig::read;

/// How long another program's lock is waited for; kubectl holds it for milliseconds.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);

/// What became of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// The file itself, where symbolic links lead.
    pub path: PathBuf,
    /// Its state before; `None` when there was none.
    pub backup: Option<PathBuf>,
}

/// A new text for a file.
#[derive(Debug)]
pub struct Rewritten {
    pub text: String,
    /// Whether the one before is worth keeping. One with credentials of ours is not: it would outlive
    /// them.
    pub keep: bool,
}

/// Rewrites a kubeconfig with `change`, which gets the text as it is (empty when there is no file)
/// and returns the new one, or `None` to leave it alone. What was kept before stays what it is.
///
/// # Errors
/// [`Error::Kubeconfig`] when the file cannot be read or written, or is locked; whatever `change`
/// returns.
pub fn rewrite(
    path: &Path,
    change: impl FnOnce(&str) -> Result<Option<Rewritten>, Error>,
) -> Result<Option<Changed>, Error> {
    let target = resolve(path);
    let folder = target
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or_else(|| Path::new(".")).to_owned();
    make_folder(&folder)?;
    // Where kubectl was given a link, it locks that.
    let _link = (path != target).then(|| Lock::take(path)).transpose()?;
    let _lock = Lock::take(&target)?;
    let before = state(&target)?;
    let text = before.as_deref().map(read::decode).transpose();
    let text = text.map_err(|why| unreadable(&target, &why))?;
    let Some(after) = change(&text.unwrap_or_default())? else {
        return Ok(None);
    };
    let backup = match &before {
        Some(bytes) if !bytes.is_empty() && after.keep => Some(kept(&folder, &target, bytes)?),
        _ => None,
    };
    let place = Place {
        folder: &folder,
        path: &target,
    };
    place.replace(&after.text, before.as_deref(), rename)?;
    Ok(Some(Changed {
        path: target,
        backup,
    }))
}

/// Keeps a state beside its file, under the first name that nothing else has.
fn kept(folder: &Path, target: &Path, bytes: &[u8]) -> Result<PathBuf, Error> {
    let mut number = 1;
    loop {
        let ending = match number {
            1 => ".k0smotron-backup".to_owned(),
            number => format!(".k0smotron-backup-{number}"),
        };
        let backup = beside(target, &ending);
        if fs::symlink_metadata(&backup).is_err() {
            create(folder, &backup, bytes)?;
            return Ok(backup);
        }
        if fs::read(&backup).is_ok_and(|known| known == bytes) {
            return Ok(backup);
        }
        number += 1;
    }
}

/// Writes a new file that its owner alone can read; one that is there with another content is
/// left alone unless `force`. Returns the file, where symbolic links lead, unless something was there
/// before.
///
/// # Errors
/// [`Error::Conflict`] for a file that is there, [`Error::Io`] otherwise.
pub fn write_new(path: &Path, text: &str, force: bool) -> Result<Option<PathBuf>, Error> {
    let target = resolve(path);
    let attempt = format!("write {}", path.display());
    let found = fs::metadata(path);
    let is_new = found.is_err();
    match found {
        // A device or a pipe is written to as it is, and by its own name: where the link of an open
        // pipe leads, there is no file.
        Ok(metadata) if !metadata.is_file() => {
            let opened = OpenOptions::new().write(true).open(path);
            return opened
                .and_then(|mut file| file.write_all(text.as_bytes()))
                .map(|()| None)
                .map_err(|source| Error::io(attempt, source));
        }
        Ok(_) if !force && fs::read_to_string(&target).ok().as_deref() != Some(text) => {
            return Err(Error::Conflict {
                attempt,
                answer: "the file exists".to_owned(),
                hint: "add --force to overwrite it, or --merge to keep what is in it".to_owned(),
            });
        }
        _ => {}
    }
    let folder = target
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or_else(|| Path::new("."));
    if is_new {
        create(folder, &target, text.as_bytes())?;
        return Ok(Some(target));
    }
    let place = Place {
        folder,
        path: &target,
    };
    place.replace(text, None, rename)?;
    Ok(None)
}

/// Where a chain of symbolic links ends, even when nothing is there yet.
fn resolve(path: &Path) -> PathBuf {
    let mut current = path.to_owned();
    for _ in 0..16 {
        let Ok(next) = fs::read_link(&current) else {
            break;
        };
        current = current
            .parent()
            .map_or_else(|| next.clone(), |folder| folder.join(&next));
    }
    current
}

fn make_folder(folder: &Path) -> Result<(), Error> {
    if folder.exists() {
        return Ok(());
    }
    fs::create_dir_all(folder)
        .and_then(|()| fs::set_permissions(folder, fs::Permissions::from_mode(0o700)))
        .map_err(|source| Error::io(format!("create the folder {}", folder.display()), source))
}

fn state(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    let unusable = |message: String, hint: &str| Error::Kubeconfig {
        message,
        hint: hint.to_owned(),
    };
    let shown = path.display();
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => {
            let message = format!("cannot read the kubeconfig {shown}: {}", innermost(&source));
            return Err(unusable(message, "name another with --kubeconfig FILE"));
        }
    };
    if !metadata.is_file() {
        let message = format!("the kubeconfig {shown} is not a regular file");
        return Err(unusable(message, "name another with --output FILE"));
    }
    // Root may write it all the same, but somebody meant something by it.
    if metadata.permissions().mode() & 0o222 == 0 {
        return Err(unusable(
            format!("the kubeconfig {shown} is read-only, so nothing was changed"),
            "allow it with chmod u+w, or write to another file with --output FILE",
        ));
    }
    let bytes = fs::read(path).map(Some);
    bytes.map_err(|source| unreadable(path, &innermost(&source)))
}

fn unreadable(path: &Path, why: &str) -> Error {
    Error::Kubeconfig {
        message: format!("cannot read the kubeconfig {}: {why}", path.display()),
        hint: "repair it, or write to another file with --output FILE".to_owned(),
    }
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// Puts a file there; in place of none, unless somebody else was faster.
fn create(folder: &Path, path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let write = || -> io::Result<()> {
        let file = written(folder, bytes)?;
        file.persist_noclobber(path).map_err(|error| error.error)?;
        settle(folder);
        Ok(())
    };
    write().map_err(|source| Error::io(format!("write {}", path.display()), source))
}

/// A file in this folder with these bytes in it, that has no name yet.
fn written(folder: &Path, bytes: &[u8]) -> io::Result<NamedTempFile> {
    // Made with mode 0600.
    let mut file = tempfile::Builder::new()
        .prefix(".kubeconfig-")
        .tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    Ok(file)
}

/// Sees to it that a new name is on the disk as well. Where that cannot be done the change was made all
/// the same.
fn settle(folder: &Path) {
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
}

/// A file that is there, and its folder.
struct Place<'a> {
    folder: &'a Path,
    path: &'a Path,
}

impl Place<'_> {
    /// Readers see the old file or the new one, never a part, unless it cannot be replaced. The owner
    /// of what was there `before` is kept.
    fn replace(
        &self,
        text: &str,
        before: Option<&[u8]>,
        rename: impl FnOnce(NamedTempFile, &Path) -> Result<(), PersistError>,
    ) -> Result<(), Error> {
        let write = || -> io::Result<()> {
            let file = written(self.folder, text.as_bytes())?;
            if let (Some(_), Ok(owner)) = (before, fs::metadata(self.path)) {
                let mine = file.as_file().metadata()?;
                if (mine.uid(), mine.gid()) != (owner.uid(), owner.gid()) {
                    let (uid, gid) = (Some(owner.uid()), Some(owner.gid()));
                    // Only root can give files away; for all others it is their own already.
                    let _ = std::os::unix::fs::chown(file.path(), uid, gid);
                }
            }
            match rename(file, self.path) {
                // Something is mounted on it, as containers have it: kubectl writes into it, too. The
                // new text is on the disk until that is done.
                Err(error) if error.error.kind() == io::ErrorKind::ResourceBusy => {
                    self.overwrite(text.as_bytes(), before)?;
                }
                renamed => renamed.map_err(|error| error.error)?,
            }
            settle(self.folder);
            Ok(())
        };
        let attempt = || format!("write {}", self.path.display());
        write().map_err(|source| Error::io(attempt(), source))
    }

    /// Writes into the file. What was in it is beside it until that is done: where this ends on the way,
    /// the state before is in a file .kubeconfig-* there; where it fails, it is put back.
    fn overwrite(&self, bytes: &[u8], before: Option<&[u8]>) -> io::Result<()> {
        let kept = before.map(|before| written(self.folder, before));
        let kept = kept.transpose()?;
        settle(self.folder);
        let Err(failed) = fill(self.path, bytes) else {
            return Ok(());
        };
        match (before, kept) {
            (Some(before), Some(kept)) if fill(self.path, before).is_err() => {
                let (_, kept) = kept.keep().map_err(|error| error.error)?;
                let kept = kept.display();
                let why = format!("{failed}; what was in it before is in {kept}");
                Err(io::Error::new(failed.kind(), why))
            }
            _ => Err(failed),
        }
    }
}

fn rename(file: NamedTempFile, path: &Path) -> Result<(), PersistError> {
    file.persist(path).map(drop)
}

/// Writes into a file that is there. It is cut only in the end, so that what was in it still finds room
/// on a disk that is full.
fn fill(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).open(path)?;
    // Its owner's alone, as a new one would be; who cannot change that has chosen who reads it.
    let _ = file.set_permissions(fs::Permissions::from_mode(0o600));
    file.write_all(bytes)?;
    file.set_len(bytes.len() as u64)?;
    file.sync_all()
}

/// kubectl's own lock: a file beside the kubeconfig that one writer can create.
struct Lock(PathBuf);

impl Lock {
    fn take(path: &Path) -> Result<Self, Error> {
        let lock = beside(path, ".lock");
        let end = Instant::now() + LOCK_PATIENCE;
        loop {
            let made = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&lock);
            match made {
                Ok(_) => return Ok(Self(lock)),
                Err(source) if source.kind() == io::ErrorKind::AlreadyExists => {
                    if Instant::now() >= end {
                        return Err(Error::Kubeconfig {
                            message: format!(
                                "another program is changing {}: {} exists",
                                path.display(),
                                lock.display()
                            ),
                            hint: format!(
                                "try again; if no program is at it any more: rm {}",
                                quoted(&lock.to_string_lossy())
                            ),
                        });
                    }
                    std::thread::sleep(Duration::from_millis(50));
                }
                Err(source) => {
                    return Err(Error::Kubeconfig {
                        message: format!("cannot write beside {}: {source}", path.display()),
                        hint: "nothing was changed; write to another file with --output FILE"
                            .to_owned(),
                    });
                }
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // What cannot be removed now is named by the next who finds it.
        let _ = fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests;
