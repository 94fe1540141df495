//! A piece of a body that was read before, read again: for looking at a failure once more.

use std::path::Path;

use tandem_core::source::{
    file::{Fault, FileState},
    pattern::Pattern,
};

use super::{
    Limits, TailError,
    beneath::{Root, fault},
    scan::{directory_of, scan},
    text::Text,
};

/// The bytes from `start` to `end` of a body, wherever it is now: by its id, or by its content where it was copied or
/// packed. `path` is the source's path or pattern.
///
/// # Errors
/// [`Fault::TextChanged`] when the body is not there any more, or does not reach to `end`; [`Fault::Io`] for more than
/// `most` bytes; otherwise what opening says.
pub fn slice(
    root: &Path,
    path: &str,
    file: &FileState,
    start: u64,
    end: u64,
    most: usize,
) -> Result<Vec<u8>, TailError> {
    let pattern = Pattern::new(&root.to_string_lossy(), path)
        .map_err(|error| TailError::new(Fault::PatternInvalid, format!("the path {}", error.0)))?;
    let length = usize::try_from(end.saturating_sub(start)).unwrap_or(usize::MAX);
    if length == 0 || length > most {
        return Err(TailError::new(Fault::Io, format!("a piece of {length} bytes; 1 to {most} can be read")));
    }
    let root = Root::open(root)?;
    let limits = Limits::default();
    let mut looked = scan(&root, &pattern, std::slice::from_ref(file), &limits);
    let near = |path: &str| directory_of(path) == directory_of(&file.path);
    let mut found = std::mem::take(&mut looked.found);
    // The same file first; then what may be a copy of it.
    found.sort_by_key(|found| !found.stat.id.is(&file.id));
    let mut trouble = None;
    for found in found.iter().filter(|found| near(&found.path)) {
        let opened = match root.file(&found.path) {
            Ok((opened, _)) => opened,
            Err(error) => {
                trouble.get_or_insert(TailError::new(fault(&error), error.to_string()));
                continue;
            }
        };
        let mut text = Text::new(opened, found.is_packed());
        let Ok(head) = text.head() else { continue };
        let before = text.before(file.read.at, file.read.before.length as usize).ok().flatten();
        let same = found.stat.id.is(&file.id) || file.is_recognisable();
        if !same || !file.is_body(&head, before.as_deref()) {
            continue;
        }
        let mut bytes = vec![0; length];
        if text.read_at(start, &mut bytes).is_ok_and(|read| read == length) {
            return Ok(bytes);
        }
    }
    Err(trouble.unwrap_or_else(|| TailError::new(Fault::TextChanged, "the text is no longer there")))
}
