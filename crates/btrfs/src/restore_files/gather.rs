//! Decides about each selected file, and collects where its bytes are. Writes nothing.

use std::io;
use std::os::fd::OwnedFd;

use btrfs_stream_index::FileType;
use btrfs_stream_index::chain::{ChainFile, IndexChain};
use btrfs_stream_index::sort::Sorter;
use s3up_cli::ShutdownSignal;
use s3up_repository::fetch::parts::RequiredParts;

use super::error::FileRestoreError;
use super::existing::{ExistingFiles, FileStep, decide};
use super::numbers::Numbers;
use super::piece::{FileNumber, Piece};
use super::selection::{PathSelection, Step};
use super::summary::{RestoredFiles, Tally};
use super::target::{existing, find_directory};
use crate::browse::shown;

/// The files to restore, and the parts that hold their bytes.
pub struct Gathered {
    pub required: RequiredParts,
    /// `None` if nothing is going to be written.
    pub pieces: Option<Sorter>,
    pub numbers: Numbers,
    /// Files to restore.
    pub wanted: Tally,
    /// Directories that were selected.
    pub directories: u64,
    /// Files that are skipped or cannot be restored.
    pub result: RestoredFiles,
}

/// A directory of the backup at the target.
enum Place {
    Open(OwnedFd),
    Missing,
    /// It cannot be entered. The text says why.
    Blocked(String),
}

struct Gathering<'g> {
    chain: &'g IndexChain,
    overwrite: ExistingFiles,
    /// The directories of the present path, from the target on.
    places: Vec<Place>,
    /// The place of the root, until it is entered.
    root: Option<Place>,
    next: FileNumber,
    shutdown: ShutdownSignal,
    gathered: Gathered,
}

/// The target that files are gathered for.
pub struct GatherFor {
    /// `None` if it does not exist.
    pub target: Option<OwnedFd>,
    pub overwrite: ExistingFiles,
    pub shutdown: ShutdownSignal,
}

pub fn gather(
    chain: &IndexChain,
    selection: &PathSelection,
    required: RequiredParts,
    pieces: Option<Sorter>,
    GatherFor { target, overwrite, shutdown }: GatherFor,
) -> Result<Gathered, FileRestoreError> {
    let gathered = Gathered {
        required,
        pieces,
        numbers: Numbers::default(),
        wanted: Tally::default(),
        directories: 0,
        result: RestoredFiles::default(),
    };
    let mut gathering = Gathering {
        chain,
        overwrite,
        places: Vec::new(),
        root: Some(target.map_or(Place::Missing, Place::Open)),
        next: 0,
        shutdown,
        gathered,
    };
    selection.walk(chain, |step| gathering.visit(step))?;
    if gathering.next == 0 && gathering.gathered.directories == 0 {
        return Err(FileRestoreError::NoMatch);
    }
    Ok(gathering.gathered)
}

fn last_name(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or_default()
}

impl Gathering<'_> {
    fn visit(&mut self, step: Step<'_>) -> Result<(), FileRestoreError> {
        if let Some(stop) = self.shutdown.received() {
            return Err(FileRestoreError::Stopped(stop));
        }
        match step {
            Step::Enter { path, is_selected, .. } => {
                self.gathered.directories += u64::from(is_selected);
                let place = self.enter(path);
                self.places.push(place);
                Ok(())
            }
            Step::Leave { .. } => {
                self.places.pop();
                Ok(())
            }
            Step::File { path, file } => self.file(path, file),
        }
    }

    fn enter(&mut self, path: &[u8]) -> Place {
        if let Some(root) = self.root.take() {
            return root;
        }
        match self.places.last() {
            Some(Place::Open(parent)) => match find_directory(parent, last_name(path)) {
                Ok(Some(found)) => Place::Open(found),
                Ok(None) => Place::Missing,
                Err(err) => Place::Blocked(format!("open the directory {}: {err}", shown(path))),
            },
            Some(Place::Blocked(why)) => Place::Blocked(why.clone()),
            Some(Place::Missing) | None => Place::Missing,
        }
    }

    fn step(&self, path: &[u8], file: &ChainFile) -> io::Result<FileStep> {
        match self.places.last() {
            Some(Place::Open(directory)) => {
                let found = existing(directory, last_name(path))?;
                Ok(decide(&file.metadata, &found, self.overwrite))
            }
            Some(Place::Blocked(why)) => Err(io::Error::other(why.clone())),
            Some(Place::Missing) | None => Ok(FileStep::Create),
        }
    }

    fn file(&mut self, path: &[u8], file: &ChainFile) -> Result<(), FileRestoreError> {
        let number = self.next;
        self.next += 1;
        let bytes = file.metadata.length.after(0);
        let refused = match self.step(path, file) {
            Ok(FileStep::Create | FileStep::Replace) => {
                self.gathered.numbers.want(number);
                self.gathered.wanted.add(bytes);
                return self.content(file, number);
            }
            Ok(FileStep::Skip) => {
                self.gathered.result.skipped.add(bytes);
                return Ok(());
            }
            Ok(FileStep::Refuse(conflict)) => conflict.to_string(),
            Err(err) => err.to_string(),
        };
        self.gathered.result.fail(shown(path), bytes, refused);
        Ok(())
    }

    fn content(&mut self, file: &ChainFile, number: FileNumber) -> Result<(), FileRestoreError> {
        let is_file = file.metadata.file_type == Some(FileType::File);
        if !is_file || !self.gathered.numbers.add_content(file, number) {
            return Ok(());
        }
        let Gathered { required, pieces, .. } = &mut self.gathered;
        self.chain.extents(file, |extent| {
            let piece = Piece::of(extent, number)?;
            required.add(piece.level, piece.range.clone())?;
            let Some(sorter) = pieces else { return Ok(()) };
            Ok(sorter.put(&piece.key(), &piece.value())?)
        })
    }
}
