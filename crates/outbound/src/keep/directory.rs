//! An object as a file beneath the operator's directory: written beside its place, made durable, and then moved there, so
//! that half an object never has an object's name.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use super::Trouble;

pub fn keep(root: &Path, name: &str, body: &[u8]) -> Result<(), Trouble> {
    write(root, name, body).map_err(|error| {
        // The kind only: an operating system's text may name the path.
        Trouble::new("write_failed", format!("the object could not be written ({})", error.kind()))
    })
}

fn write(root: &Path, name: &str, body: &[u8]) -> io::Result<()> {
    let file = root.join(name);
    let folder = file.parent().unwrap_or(root);
    fs::create_dir_all(folder)?;
    // The name holds the digest; what is there already is what would be written, or it is written again.
    if fs::symlink_metadata(&file).is_ok_and(|meta| meta.is_file()) && fs::read(&file)? == body {
        return Ok(());
    }
    let part = file.with_extension("part");
    match fs::remove_file(&part) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut open = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part)?;
    open.write_all(body)?;
    open.sync_all()?;
    fs::rename(&part, &file)?;
    // A name is durable when its directory is, and so are the directories above that may be new.
    let mut above = Some(folder);
    while let Some(folder) = above.filter(|folder| folder.starts_with(root)) {
        File::open(folder)?.sync_all()?;
        above = folder.parent();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_there_whole_and_once() {
        let root = std::env::temp_dir().join(format!("tandem-keep-{}", std::process::id()));
        let name = "a/b/1-2-x.ndjson";
        fs::create_dir_all(root.join("a/b")).unwrap();
        // Left behind by a process that was killed.
        fs::write(root.join("a/b/1-2-x.part"), "half").unwrap();
        keep(&root, name, b"whole").unwrap();
        keep(&root, name, b"whole").unwrap();
        assert_eq!(fs::read(root.join(name)).unwrap(), b"whole");
        assert_eq!(fs::read_dir(root.join("a/b")).unwrap().count(), 1);
        // What somebody spoilt is written again.
        fs::write(root.join(name), "spoilt").unwrap();
        keep(&root, name, b"whole").unwrap();
        assert_eq!(fs::read(root.join(name)).unwrap(), b"whole");
        fs::write(root.join("file"), "").unwrap();
        let refused = keep(&root, "file/x", b"y").unwrap_err();
        assert!(refused.code == "write_failed" && !refused.text.contains("tandem-keep"), "{refused:?}");
        fs::remove_dir_all(&root).unwrap();
    }
}
