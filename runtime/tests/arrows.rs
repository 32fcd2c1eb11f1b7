//! Arrows between the rooms of each program go one way: ARCHITECTURE.md has the rooms.

#![expect(clippy::unwrap_used, reason = "the files of this very repository")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

type Rooms = BTreeMap<String, BTreeSet<String>>;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The sources of a program, by room, without tests.
fn sources(program: &str) -> Vec<(String, PathBuf)> {
    let src = repository().join(program).join("src");
    let mut found = Vec::new();
    let mut folders = vec![src.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            if ["tests", "testing", "fixtures", "fuzz"].contains(&&*name) {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let below = path.strip_prefix(&src).unwrap();
                let first = below.iter().next().unwrap().to_str().unwrap();
                let room = first.trim_end_matches(".rs").to_owned();
                found.push((room, path));
            }
        }
    }
    found
}

/// Which rooms each room of a program names.
fn rooms(program: &str) -> Rooms {
    let mut rooms = Rooms::new();
    for (room, path) in sources(program) {
        if ["lib", "main"].contains(&&*room) {
            continue;
        }
        let text = fs::read_to_string(path).unwrap();
        let code = text.split("\n#[cfg(test)]\nmod ").next().unwrap();
        let named = code
            .lines()
            .map(|line| line.split("//").next().unwrap())
            .flat_map(|line| line.split("crate::").skip(1))
            .flat_map(|rest| {
                let list = rest.strip_prefix('{');
                let inner = list.map_or(rest, |list| list.split('}').next().unwrap());
                let all = inner.split(',').take(if list.is_some() { 99 } else { 1 });
                all.map(|item| {
                    let item = item.trim();
                    let end = item.find(|c: char| !c.is_alphanumeric() && c != '_');
                    item[..end.unwrap_or(item.len())].to_owned()
                })
                .collect::<Vec<_>>()
            });
        let entry = rooms.entry(room.clone()).or_default();
        entry.extend(named.filter(|name| *name != room && !name.is_empty()));
    }
    rooms
}

/// Every room that can be reached from this one.
fn reached<'a>(rooms: &'a Rooms, from: &str) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut next: Vec<&str> = rooms[from].iter().map(String::as_str).collect();
    while let Some(room) = next.pop() {
        if found.insert(room)
            && let Some(named) = rooms.get(room)
        {
            next.extend(named.iter().map(String::as_str));
        }
    }
    found
}

#[test]
fn no_rooms_of_a_program_import_each_other_in_a_circle() {
    for program in ["controller", "webhook", "plugin"] {
        let rooms = rooms(program);
        assert!(rooms.len() > 5, "{program}: {rooms:?}");
        for room in rooms.keys() {
            assert!(
                !reached(&rooms, room).contains(room.as_str()),
                "{program}: {room} reaches itself: {:?}",
                rooms[room]
            );
        }
    }
}

#[test]
fn the_engine_knows_no_kind_and_a_room_below_no_command() {
    let controller = rooms("controller");
    let below = ["apply", "hosted", "kubernetes"];
    for room in below {
        let found = reached(&controller, room);
        for above in ["cluster", "join_token", "run"] {
            assert!(!found.contains(above), "{room} knows {above}");
        }
    }
    for (_, path) in sources("controller") {
        let text = fs::read_to_string(&path).unwrap();
        let is_engine = path.to_str().unwrap().contains("src/apply");
        assert!(
            !is_engine || !text.contains("v1beta2"),
            "{path:?} knows a kind"
        );
    }
    for (room, named) in rooms("plugin") {
        let knows = named.contains("commands") || named.contains("cli");
        assert!(!knows || ["cli", "commands"].contains(&&*room), "{room}");
    }
}

#[test]
fn no_command_imports_another() {
    for (room, path) in sources("plugin") {
        let below = path.to_str().unwrap().split("src/commands/").nth(1);
        let (Some(below), "commands") = (below, room.as_str()) else {
            continue;
        };
        let own = below.split(['/', '.']).next().unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let code = text.split("\n#[cfg(test)]\nmod ").next().unwrap();
        for other in code.split("crate::commands::").skip(1) {
            let end = other.find(|c: char| !c.is_alphanumeric() && c != '_');
            let other = &other[..end.unwrap_or(other.len())];
            assert!(own == "mod" || own == other, "{own} imports {other}");
        }
    }
}
