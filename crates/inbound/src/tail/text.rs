//! The text of one file: plain, read at any place, or packed with gzip, read forwards.
//!
//! Packed text can only be unpacked from its beginning. What was unpacked last is kept, so that going back a little, as
//! whoever reads lines does all the time, costs nothing, and a packed file is unpacked once however often it is read on.

use std::{
    fs::File,
    io::{self, BufReader, Read},
    os::unix::fs::FileExt,
    sync::Arc,
};

use flate2::read::MultiGzDecoder;
use tandem_core::source::file::{BEFORE_BYTES, HEAD_BYTES, Mark, Sample};

use super::beneath::{self, Stat};

/// Unpacked bytes that are kept behind the place of a decoder: more than a piece that was not handed out, a line that is
/// not at its end, and the bytes before them.
const KEPT: usize = 1_536 * 1024;

pub(super) enum Text {
    Plain(File),
    Packed(Packed),
}

#[cfg(test)]
std::thread_local! {
    /// Bytes that this thread has unpacked.
    pub(super) static UNPACKED: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// A gzip file, and a decoder somewhere in it.
pub(super) struct Packed {
    file: Arc<File>,
    decoder: MultiGzDecoder<BufReader<Cursor>>,
    /// The place of the decoder, in unpacked bytes.
    at: u64,
    /// The bytes before that place.
    kept: Vec<u8>,
    /// A decoder that failed says so again; what it would say by itself is not defined.
    failed: Option<io::ErrorKind>,
}

/// A file read from the beginning without moving its own position, so that several decoders can share it.
struct Cursor {
    file: Arc<File>,
    at: u64,
}

impl Read for Cursor {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

impl Text {
    pub fn new(file: File, packed: bool) -> Self {
        if !packed {
            return Self::Plain(file);
        }
        let file = Arc::new(file);
        Self::Packed(Packed { decoder: decoder(&file), file, at: 0, kept: Vec::new(), failed: None })
    }

    pub fn stat(&self) -> io::Result<Stat> {
        match self {
            Self::Plain(file) => beneath::stat(file),
            Self::Packed(packed) => beneath::stat(&packed.file),
        }
    }

    pub fn is_packed(&self) -> bool {
        matches!(self, Self::Packed(_))
    }

    /// Says that nothing from before this place, but the bytes that identify it, is likely to be read again.
    pub fn passed(&mut self, at: u64) {
        if let Self::Packed(packed) = self {
            packed.keep_from(at.saturating_sub(BEFORE_BYTES as u64));
        }
    }

    /// Fills the buffer from this place on; less only at the end. Packed text that was passed long ago is unpacked anew.
    pub fn read_at(&mut self, at: u64, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(file) => fill(buffer, |buffer, done| file.read_at(buffer, at + done)),
            Self::Packed(packed) => {
                let known = packed.again(at, buffer);
                if known == buffer.len() || !packed.seek(at + known as u64)? {
                    return Ok(known);
                }
                match packed.read(&mut buffer[known..]) {
                    Ok(read) => Ok(known + read),
                    // It comes again when it is asked for what follows.
                    Err(_) if known > 0 => Ok(known),
                    Err(error) => Err(error),
                }
            }
        }
    }

    /// The first bytes, as many as identify a body.
    pub fn head(&mut self) -> io::Result<Vec<u8>> {
        let mut head = vec![0; HEAD_BYTES];
        let read = match self {
            Self::Plain(_) => self.read_at(0, &mut head)?,
            // A decoder of its own, so that the one at work stays where it is.
            Self::Packed(packed) => {
                let mut decoder = decoder(&packed.file);
                fill(&mut head, |buffer, _| decoder.read(buffer))?
            }
        };
        head.truncate(read);
        Ok(head)
    }

    /// The `length` bytes before a place; `None` when the text does not reach that far.
    pub fn before(&mut self, at: u64, length: usize) -> io::Result<Option<Vec<u8>>> {
        let Some(from) = at.checked_sub(length as u64) else { return Ok(None) };
        if length == 0 && !self.is_packed() {
            return Ok((self.stat()?.size >= at).then(Vec::new));
        }
        let mut before = vec![0; length];
        let read = self.read_at(from, &mut before)?;
        Ok((read == length).then_some(before))
    }

    /// Where the text ends. Packed text is unpacked to there.
    pub fn end(&mut self) -> io::Result<u64> {
        match self {
            Self::Plain(_) => Ok(self.stat()?.size),
            Self::Packed(packed) => {
                packed.seek(u64::MAX)?;
                Ok(packed.at)
            }
        }
    }

    /// The mark of a place that the text reaches.
    pub fn mark(&mut self, at: u64, inside: bool) -> io::Result<Mark> {
        let length = usize::try_from(at).unwrap_or(usize::MAX).min(BEFORE_BYTES);
        let before = self.before(at, length)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok(Mark { at, before: Sample::of(&before), inside })
    }
}

impl Packed {
    /// Copies what is kept from this place on; how much that is.
    fn again(&self, at: u64, buffer: &mut [u8]) -> usize {
        let back = self.at.checked_sub(at).and_then(|back| usize::try_from(back).ok());
        let Some(from) = back.and_then(|back| self.kept.len().checked_sub(back)) else { return 0 };
        let known = &self.kept[from..];
        let length = known.len().min(buffer.len());
        buffer[..length].copy_from_slice(&known[..length]);
        length
    }

    /// Lets go of what is kept from before a place.
    fn keep_from(&mut self, at: u64) {
        let back = usize::try_from(self.at.saturating_sub(at)).unwrap_or(usize::MAX).min(self.kept.len());
        self.kept.drain(..self.kept.len() - back);
        self.kept.shrink_to(2 * back);
    }

    /// Brings the decoder to a place. `false` when the text ends before it.
    fn seek(&mut self, at: u64) -> io::Result<bool> {
        if at < self.at {
            self.decoder = decoder(&self.file);
            self.at = 0;
            self.kept.clear();
            self.failed = None;
        }
        let mut scratch = [0; 16 * 1024];
        while self.at < at {
            let most = usize::try_from(at - self.at).unwrap_or(usize::MAX).min(scratch.len());
            let read = self.read(&mut scratch[..most])?;
            if read == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(kind) = self.failed {
            return Err(kind.into());
        }
        let decoder = &mut self.decoder;
        let mut failed = None;
        let read = fill(buffer, |buffer, _| {
            decoder.read(buffer).inspect_err(|error| failed = Some(error.kind()).filter(|kind| !passing(*kind)))
        });
        self.failed = failed;
        let read = read?;
        self.at += read as u64;
        #[cfg(test)]
        UNPACKED.with(|unpacked| unpacked.set(unpacked.get() + read as u64));
        // Seldom, so that what is kept is not moved with every read.
        if self.kept.len() + read > 2 * KEPT {
            self.kept.drain(..self.kept.len().saturating_sub(KEPT));
        }
        self.kept.extend_from_slice(&buffer[..read]);
        Ok(read)
    }
}

fn passing(kind: io::ErrorKind) -> bool {
    kind == io::ErrorKind::Interrupted
}

fn decoder(file: &Arc<File>) -> MultiGzDecoder<BufReader<Cursor>> {
    MultiGzDecoder::new(BufReader::with_capacity(32 * 1024, Cursor { file: Arc::clone(file), at: 0 }))
}

/// Reads until the buffer is full or there is no more. What was read before an error is not lost.
fn fill(buffer: &mut [u8], mut read: impl FnMut(&mut [u8], u64) -> io::Result<usize>) -> io::Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        match read(&mut buffer[done..], done as u64) {
            Ok(0) => break,
            Ok(n) => done += n,
            Err(error) if passing(error.kind()) => {}
            Err(_) if done > 0 => break,
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write};

    use flate2::{Compression, write::GzEncoder};

    use super::*;
    use crate::tail::testing::Scratch;

    fn content() -> Vec<u8> {
        (0..30_000_u32).flat_map(|n| format!("line {n}\n").into_bytes()).collect()
    }

    #[test]
    fn plain_and_packed_read_alike() {
        let scratch = Scratch::new();
        let content = content();
        fs::write(scratch.path("a"), &content).expect("writes");
        // Two members behind each other are one text.
        let mut packed = Vec::new();
        for half in content.chunks(content.len() / 2 + 1) {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(half).expect("packs");
            packed.extend(encoder.finish().expect("packs"));
        }
        fs::write(scratch.path("a.gz"), &packed).expect("writes");
        for (name, is_packed) in [("a", false), ("a.gz", true)] {
            let mut text = Text::new(File::open(scratch.path(name)).expect("opens"), is_packed);
            assert_eq!(text.head().expect("reads"), content[..HEAD_BYTES]);
            let mut buffer = vec![0; 100_000];
            for at in [0, 5, 99_999, 200_000, 10, content.len() - 7] {
                let read = text.read_at(at as u64, &mut buffer).expect("reads");
                assert_eq!(buffer[..read], content[at..content.len().min(at + 100_000)], "{name} at {at}");
            }
            let end = content.len() as u64;
            assert_eq!(text.read_at(end, &mut buffer).expect("reads"), 0);
            assert_eq!(text.read_at(end + 9, &mut buffer).expect("reads"), 0);
            assert_eq!(text.before(end, 4).expect("reads").as_deref(), Some(&content[content.len() - 4..]));
            assert_eq!(text.before(end + 1, 4).expect("reads"), None);
            assert_eq!(text.before(3, 4).expect("reads"), None);
            assert_eq!(text.end().expect("reads"), end);
        }
    }

    #[test]
    fn a_damaged_file_gives_what_it_can_and_then_the_error() {
        let scratch = Scratch::new();
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&content()).expect("packs");
        let packed = encoder.finish().expect("packs");
        fs::write(scratch.path("cut.gz"), &packed[..packed.len() / 2]).expect("writes");
        fs::write(scratch.path("no.gz"), "no gzip at all").expect("writes");
        let mut text = Text::new(File::open(scratch.path("cut.gz")).expect("opens"), true);
        let mut buffer = vec![0; 1_000_000];
        let read = text.read_at(0, &mut buffer).expect("reads");
        assert!(read > 1_000 && content().starts_with(&buffer[..read]));
        assert!(text.read_at(read as u64, &mut buffer).is_err());
        assert!(Text::new(File::open(scratch.path("no.gz")).expect("opens"), true).head().is_err());
    }
}
