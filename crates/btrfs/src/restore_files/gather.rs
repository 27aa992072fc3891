//! Decides about each selected file, and collects where its bytes are. Writes nothing.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;

use btrfs_stream_index::FileType;
use btrfs_stream_index::chain::{ChainFile, IndexChain, IndexChainError};

use btrfs_stream_index::sort::Sorter;
use s3up_cli::ShutdownSignal;
use s3up_core::{Key, error_chain};
use s3up_repository::fetch::parts::RequiredParts;

use super::error::FileRestoreError;
use super::existing::{ExistingFiles, FileStep, decide};
use super::numbers::{Content, LINKED_MAX, Numbers};
use super::piece::{FileNumber, Piece};
use super::selection::{PathSelection, Step};
use super::summary::{RestoredFiles, Tally, Unset};
use super::target::{existing, find_directory, last_name};
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
    /// Contents that the indexes do not lead to, and why not.
    unreadable: HashMap<FileNumber, String>,
    shutdown: ShutdownSignal,
    gathered: Gathered,
}

/// The target that files are gathered for.
pub struct GatherFor {
    /// `None` if it does not exist.
    pub target: Option<OwnedFd>,
    /// The backup, for messages.
    pub manifest: Key,
    pub overwrite: ExistingFiles,
    pub shutdown: ShutdownSignal,
}

pub fn gather(
    chain: &IndexChain,
    selection: &PathSelection,
    required: RequiredParts,
    pieces: Option<Sorter>,
    GatherFor { target, manifest, overwrite, shutdown }: GatherFor,
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
        unreadable: HashMap::new(),
        shutdown,
        gathered,
    };
    selection.walk(chain, |step| gathering.visit(step))?;
    if gathering.next == 0 && gathering.gathered.directories == 0 {
        return Err(FileRestoreError::NoMatch { manifest });
    }
    Ok(gathering.gathered)
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
            Ok(FileStep::Create | FileStep::Replace) => match self.content(path, file, number)? {
                Ok(()) => {
                    self.gathered.numbers.want(number);
                    self.gathered.wanted.add(bytes);
                    return Ok(());
                }
                Err(reason) => reason,
            },
            Ok(FileStep::Skip) => {
                self.gathered.result.skipped.add(bytes);
                self.gathered.numbers.note_placed(file, path);
                return Ok(());
            }
            Ok(FileStep::Refuse(conflict)) => conflict.to_string(),
            Err(err) => err.to_string(),
        };
        self.gathered.result.fail(shown(path), bytes, refused);
        Ok(())
    }

    /// Collects the pieces of a file. The inner error is the reason why this file alone cannot be
    /// restored.
    fn content(
        &mut self,
        path: &[u8],
        file: &ChainFile,
        number: FileNumber,
    ) -> Result<Result<(), String>, FileRestoreError> {
        if file.metadata.file_type != Some(FileType::File) {
            return Ok(Ok(()));
        }
        match self.gathered.numbers.add_content(file, number) {
            Content::Own => {}
            Content::Shared(first) => {
                let unreadable = self.unreadable.get(&first);
                return Ok(unreadable.map_or(Ok(()), |reason| Err(reason.clone())));
            }
            Content::Unlinked => {
                let result = &mut self.gathered.result;
                let why = format!("more than {LINKED_MAX} files with several names");
                result.note_unset(Unset::HardLink, || shown(path), why);
            }
        }
        let Gathered { required, pieces, .. } = &mut self.gathered;
        let added = self.chain.extents(file, |extent| {
            let backup = extent.source.level() + 1;
            let piece = Piece::of(extent, number)
                .map_err(|source| FileRestoreError::Index { backup, source })?;
            required.add(piece.level, piece.range.clone())?;
            let Some(sorter) = pieces else { return Ok(()) };
            Ok(sorter.put(&piece.key(), &piece.value())?)
        });
        match added {
            Err(FileRestoreError::Chain(
                err @ (IndexChainError::ClonesWithin { .. }
                | IndexChainError::TooDeep { .. }
                | IndexChainError::TooManySteps { .. }),
            )) => {
                let reason = error_chain(&err);
                self.unreadable.insert(number, reason.clone());
                Ok(Err(reason))
            }
            added => added.map(Ok),
        }
    }
}

#[cfg(test)]
mod tests {
    use btrfs_stream_index::operation::{self, Change, CloneSource, Operation};
    use btrfs_stream_index::record::{
        Entry, FileMetadata, Node, NodeId, ROOT, base_key, content_key, entry_key,
    };
    use btrfs_stream_index::table::write::TableWriter;
    use btrfs_stream_index::{StreamId, Table};
    use s3up_repository::testing::manifest_with_chunks;

    use super::super::selection::WantedPath;
    use super::*;

    /// More than an index can follow.
    const CLONES: u32 = 140;
    const BYTES: u64 = 10;

    fn node(id: NodeId, file_type: FileType) -> Node {
        let mut metadata = FileMetadata { file_type: Some(file_type), ..FileMetadata::default() };
        metadata.length.set(BYTES);
        Node { id, is_linked: false, metadata }
    }

    /// Returns the index of a stream in which each file is a clone of the one before it, and one more
    /// name of the last file.
    fn clones_of_clones() -> IndexChain {
        let stream = StreamId { bytes: 100, uuid: [1; 16], ctransid: 1, is_incremental: false };
        let mut writer = TableWriter::new(Vec::new(), stream).unwrap();
        let mut root = Vec::new();
        node(ROOT, FileType::Directory).put(&mut root);
        writer.put(&base_key(b"", ROOT), &root).unwrap();
        let mut name_of = |name: String, id: NodeId| {
            let node = Node { is_linked: id == CLONES, ..node(id, FileType::File) };
            writer.put(&entry_key(ROOT, name.as_bytes()), &Entry::New(node).encode()).unwrap();
        };
        (1..=CLONES).for_each(|id| name_of(format!("file-{id:03}"), id));
        name_of("last".to_owned(), CLONES);
        for id in 1..=CLONES {
            let at = if id == 1 { 10 } else { u64::from(id) * 200 };
            let change = match id {
                1 => Change::Write { offset: 0, data: 20..20 + BYTES },
                _ => Change::Clone {
                    offset: 0,
                    length: BYTES,
                    source: CloneSource::Node(id - 1),
                    source_offset: 0,
                },
            };
            let operations = operation::encode(&[Operation { at, change }]);
            writer.put(&content_key(id, 0), &operations).unwrap();
        }
        let (bytes, _) = writer.finish().unwrap();
        let table = Table::open("index".to_owned(), Box::new(bytes), None).unwrap();
        IndexChain::new(vec![table]).unwrap()
    }

    #[tokio::test]
    async fn a_file_that_the_indexes_do_not_lead_to_costs_only_itself() {
        let chain = clones_of_clones();
        let entry = manifest_with_chunks(&[100], Some(50));
        let required = RequiredParts::new(std::slice::from_ref(&entry)).unwrap();
        let everything = WantedPath::whole_subvolume();
        let selection = PathSelection::find(&chain, &[everything]).unwrap();
        let gather_for = GatherFor {
            target: None,
            manifest: entry.key.clone(),
            overwrite: ExistingFiles::Keep,
            shutdown: ShutdownSignal::listen(),
        };

        let gathered = gather(&chain, &selection, required, None, gather_for).unwrap();

        let failed = gathered.result.failed.files;
        assert_eq!(gathered.wanted.files + failed, u64::from(CLONES) + 1);
        assert!(gathered.wanted.files > 120, "{:?}", gathered.wanted);
        let failures = &gathered.result.failures;
        assert_eq!(failures.last().map(|failure| &*failure.path), Some("last"), "{failures:?}");
        assert!(failures[0].reason.contains("more levels of clones"), "{failures:?}");
        let numbers = &gathered.numbers;
        let wanted = (0..=u64::from(CLONES)).filter(|number| numbers.is_wanted(*number)).count();
        assert_eq!(wanted as u64, gathered.wanted.files, "what fails is not placed");
        assert_eq!(gathered.required.bytes(), 50, "they share one part");
    }
}
