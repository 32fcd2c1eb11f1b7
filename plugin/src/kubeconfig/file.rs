//! Changes kubeconfig files on disk: one writer at a time, atomically, readable by their owner
//! alone, with the last state beside them.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tempfile::NamedTempFile;

use crate::error::Error;
use crate::kubeconfig::parse_message;

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

/// Rewrites a kubeconfig with `change`, which gets the text as it is (empty when there is no file)
/// and returns the new one, or `None` to leave it alone.
///
/// # Errors
/// [`Error::Kubeconfig`] when the file cannot be read or written, or is locked; whatever `change`
/// returns.
pub fn rewrite(
    path: &Path,
    change: impl FnOnce(&str) -> Result<Option<String>, Error>,
) -> Result<Option<Changed>, Error> {
    let target = resolve(path);
    let folder = target
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or_else(|| Path::new(".")).to_owned();
    make_folder(&folder)?;
    let _lock = Lock::take(&target)?;
    let before = read(&target)?;
    let Some(after) = change(before.as_deref().unwrap_or_default())? else {
        return Ok(None);
    };
    let backup = match &before {
        Some(text) if !text.is_empty() => {
            let backup = beside(&target, ".k0smotron-backup");
            replace(&folder, &backup, text, None)?;
            Some(backup)
        }
        _ => None,
    };
    replace(
        &folder,
        &target,
        &after,
        before.is_some().then_some(&target),
    )?;
    Ok(Some(Changed {
        path: target,
        backup,
    }))
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
        create(folder, &target, text)?;
        return Ok(Some(target));
    }
    replace(folder, &target, text, None)?;
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

fn read(path: &Path) -> Result<Option<String>, Error> {
    let unusable = |message: String, hint: &str| Error::Kubeconfig {
        message,
        hint: hint.to_owned(),
    };
    let shown = path.display();
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => {
            let message = format!(
                "cannot read the kubeconfig {shown}: {}",
                parse_message(&source)
            );
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
    fs::read_to_string(path).map(Some).map_err(|source| {
        let message = format!(
            "cannot read the kubeconfig {shown}: {}",
            parse_message(&source)
        );
        unusable(
            message,
            "repair it, or write to another file with --output FILE",
        )
    })
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// Puts a file there; in place of none, unless somebody else was faster.
fn create(folder: &Path, path: &Path, text: &str) -> Result<(), Error> {
    let write = || -> io::Result<()> {
        let file = written(folder, text)?;
        file.persist_noclobber(path).map_err(|error| error.error)?;
        File::open(folder)?.sync_all()
    };
    write().map_err(|source| Error::io(format!("write {}", path.display()), source))
}

/// A file in this folder with the text in it, that has no name yet.
fn written(folder: &Path, text: &str) -> io::Result<NamedTempFile> {
    // Made with mode 0600.
    let mut file = tempfile::Builder::new()
        .prefix(".kubeconfig-")
        .tempfile_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    Ok(file)
}

/// Readers see the old file or the new one, never a part. The owner of `like` is kept.
fn replace(folder: &Path, path: &Path, text: &str, like: Option<&PathBuf>) -> Result<(), Error> {
    let write = || -> io::Result<()> {
        let file = written(folder, text)?;
        if let Some(owner) = like.and_then(|like| fs::metadata(like).ok()) {
            let mine = file.as_file().metadata()?;
            if (mine.uid(), mine.gid()) != (owner.uid(), owner.gid()) {
                // Only root can give files away; for all others it is their own already.
                let _ = std::os::unix::fs::chown(file.path(), Some(owner.uid()), Some(owner.gid()));
            }
        }
        file.persist(path).map_err(|error| error.error)?;
        File::open(folder)?.sync_all()
    };
    write().map_err(|source| Error::io(format!("write {}", path.display()), source))
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
                                lock.display()
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
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    fn upper(path: &Path) -> Result<Option<Changed>, Error> {
        rewrite(path, |text| Ok(Some(text.to_uppercase())))
    }

    #[test]
    fn a_file_is_replaced_privately_and_its_state_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let changed = upper(&path).unwrap().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "OLD");
        let backup = changed.backup.unwrap();
        assert_eq!(fs::read_to_string(&backup).unwrap(), "old");
        assert_eq!((mode(&path), mode(&backup)), (0o600, 0o600));
        let left = fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(left, 2, "neither a lock nor a temporary file stays");
    }

    #[test]
    fn a_symbolic_link_stays_one() {
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().join("real");
        let link = folder.path().join("link");
        fs::write(&real, "x").unwrap();
        std::os::unix::fs::symlink("real", &link).unwrap();
        upper(&link).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&real).unwrap(), "X");
    }

    #[test]
    fn a_read_only_file_is_not_replaced_behind_its_owners_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        fs::write(&path, "x").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o444)).unwrap();
        let error = upper(&path).unwrap_err();
        assert!(error.to_string().contains("read-only"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "x");
    }

    #[test]
    fn a_lock_of_another_program_is_respected() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        fs::write(&path, "x").unwrap();
        fs::write(folder.path().join("config.lock"), "").unwrap();
        let error = upper(&path).unwrap_err();
        assert!(error.hints()[0].contains("config.lock"));
        assert!(folder.path().join("config.lock").exists());
    }

    #[test]
    fn a_change_that_fails_leaves_everything_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        fs::write(&path, "x").unwrap();
        let failed = rewrite(&path, |_| Err(Error::Declined("no".into())));
        assert!(failed.is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "x");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn the_first_kubeconfig_gets_a_private_folder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".kube").join("config");
        let changed = rewrite(&path, |_| Ok(Some("new".into()))).unwrap().unwrap();
        assert_eq!(changed.backup, None);
        assert_eq!(mode(&folder.path().join(".kube")), 0o700);
    }

    #[test]
    fn a_file_of_somebody_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        write_new(&path, "one", false).unwrap();
        write_new(&path, "one", false).unwrap();
        assert_eq!(write_new(&path, "two", false).unwrap_err().exit().code(), 8);
        write_new(&path, "two", true).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        assert_eq!(mode(&path), 0o600);
    }

    #[test]
    fn only_a_file_that_was_made_is_returned() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real"), folder.path().join("link"));
        std::os::unix::fs::symlink("real", &link).unwrap();
        assert_eq!(write_new(&link, "x", false).unwrap(), Some(real));
        assert_eq!(write_new(&link, "x", false).unwrap(), None);
        assert_eq!(write_new(Path::new("/dev/null"), "x", false).unwrap(), None);
    }
}
