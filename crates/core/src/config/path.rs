//! Paths as words: whether one lies inside another, without looking at a disk. Links are the tailer's business.

use std::path::{Component, Path, PathBuf};

/// An absolute path without a NUL.
pub(super) fn absolute(path: &str) -> bool {
    !path.contains('\0') && Path::new(path).is_absolute()
}

/// Whether `path`, relative to `root` or absolute, is something below `root`.
pub(super) fn inside(root: &str, path: &str) -> bool {
    if path.contains('\0') {
        return false;
    }
    let root = lexical(Path::new(root));
    // Joining an absolute path gives that path.
    let full = lexical(&root.join(path));
    full != root && full.starts_with(&root)
}

/// Without `.` and `..`; the root has no parent.
fn lexical(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                out.pop();
            }
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => out.push(part),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_lies_inside_its_workspace() {
        for (path, expected) in [
            ("app.log", true),
            ("logs/../app.log", true),
            ("/srv/app/logs/app.log", true),
            ("/srv/app/../app/x", true),
            ("../app2/x.log", false),
            ("logs/../../x.log", false),
            ("/srv/application/x.log", false),
            ("/etc/passwd", false),
            ("/srv/app/../../etc/passwd", false),
            (".", false),
            ("/srv/app", false),
            ("a\0b", false),
        ] {
            assert_eq!(inside("/srv/app/", path), expected, "{path:?}");
        }
        assert!(absolute("/srv") && !absolute("srv") && !absolute("./srv") && !absolute("/s\0"));
    }
}
