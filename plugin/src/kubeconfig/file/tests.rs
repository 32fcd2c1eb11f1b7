use super::*;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn upper(path: &Path) -> Result<Option<Changed>, Error> {
    rewrite(path, |text| {
        let text = text.to_uppercase();
        Ok(Some(Rewritten { text, keep: true }))
    })
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
fn what_was_kept_stays_and_what_is_not_worth_it_is_not_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config");
    let backup = |ending: &str| fs::read_to_string(beside(&path, ending)).ok();
    for text in ["first", "second", "first"] {
        fs::write(&path, text).unwrap();
        upper(&path).unwrap();
    }
    let silent = |_: &str| {
        let text = "third".to_owned();
        Ok(Some(Rewritten { text, keep: false }))
    };
    assert_eq!(rewrite(&path, silent).unwrap().unwrap().backup, None);
    assert_eq!(backup(".k0smotron-backup").as_deref(), Some("first"));
    assert_eq!(backup(".k0smotron-backup-2").as_deref(), Some("second"));
    assert_eq!(backup(".k0smotron-backup-3"), None);
}

#[test]
fn a_lock_beside_a_link_counts() {
    let folder = tempfile::tempdir().unwrap();
    let (real, link) = (folder.path().join("real"), folder.path().join("link"));
    fs::write(&real, "x").unwrap();
    std::os::unix::fs::symlink(&real, &link).unwrap();
    fs::write(folder.path().join("link.lock"), "").unwrap();
    let error = upper(&link).unwrap_err();
    assert!(error.hints()[0].contains("link.lock"), "{error}");
    assert_eq!(fs::read_to_string(&real).unwrap(), "x");
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
    let changed = upper(&path).unwrap().unwrap();
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

fn busy(file: NamedTempFile, _: &Path) -> Result<(), PersistError> {
    let error = io::ErrorKind::ResourceBusy.into();
    Err(PersistError { error, file })
}

#[test]
fn a_file_that_something_is_mounted_on_is_written_into() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config");
    let place = Place {
        folder: folder.path(),
        path: &path,
    };
    for (before, after) in [("long before", "short"), ("short", "long after")] {
        fs::write(&path, before).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let inode = fs::metadata(&path).unwrap().ino();
        place.replace(after, Some(before.as_bytes()), busy).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), after);
        assert_eq!(
            (fs::metadata(&path).unwrap().ino(), mode(&path)),
            (inode, 0o600)
        );
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}

#[test]
fn what_can_neither_be_written_nor_put_back_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gone");
    let place = Place {
        folder: folder.path(),
        path: &path,
    };
    let error = place
        .replace("new", Some(b"old"), busy)
        .unwrap_err()
        .to_string();
    let kept = error.split("before is in ").nth(1).unwrap();
    assert_eq!(fs::read_to_string(kept).unwrap(), "old");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_folder_that_nobody_may_list_is_no_failure() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config");
    fs::write(&path, "x").unwrap();
    // Root lists it all the same.
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o300)).unwrap();
    let changed = upper(&path);
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "X");
    changed.unwrap();
}

#[test]
fn a_file_in_another_encoding_is_written_in_utf_8_and_kept_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config");
    let units = "\u{feff}größe".encode_utf16();
    let wide: Vec<u8> = units.flat_map(u16::to_le_bytes).collect();
    fs::write(&path, &wide).unwrap();
    let changed = upper(&path).unwrap().unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "GRÖSSE");
    assert_eq!(fs::read(changed.backup.unwrap()).unwrap(), wide);
    fs::write(&path, b"\xff\xfe\x00").unwrap();
    let error = upper(&path).unwrap_err().to_string();
    assert!(error.contains("it is not UTF-16"), "{error}");
}

#[test]
fn the_way_to_remove_a_lock_is_quoted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("my config; reboot");
    fs::write(beside(&path, ".lock"), "").unwrap();
    let hint = upper(&path).unwrap_err().hints().concat();
    assert!(hint.ends_with("/my config; reboot.lock'"), "{hint}");
    assert!(hint.contains("rm '/"), "{hint}");
}
