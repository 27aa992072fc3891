//! Streams with their indexes, and the comparison of the tree that they describe with a directory.

use std::collections::HashMap;
use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use btrfs_sendstream::{CommandBatch, Verifier};
use btrfs_stream_index::chain::content::Source;
use btrfs_stream_index::chain::{ChainFile, EntryReader, IndexChain, IndexChainError, join};
use btrfs_stream_index::{BuildError, FileType, IndexBuilder, IndexFacts, MemoryLimits, Table};

#[derive(Default)]
pub struct Replay {
    streams: Vec<Vec<u8>>,
    indexes: Vec<(Vec<u8>, IndexFacts)>,
}

pub fn index_of(stream: &[u8]) -> (Vec<u8>, IndexFacts) {
    index_within(MemoryLimits::default(), stream).expect("a readable tree and index")
}

fn index_within(limits: MemoryLimits, stream: &[u8]) -> Result<(Vec<u8>, IndexFacts), BuildError> {
    let directory = tempfile::tempdir().expect("a readable tree and index");
    let mut builder = IndexBuilder::with_limits(directory.path(), limits);
    let mut verifier = Verifier::new();
    for piece in stream.chunks(60_000) {
        let mut batch = CommandBatch::default();
        verifier.feed_to(piece, |command| batch.push(&command)).expect("a readable tree and index");
        for command in batch.iter() {
            builder.add(&command)?;
        }
    }
    let summary = verifier.finish().expect("a readable tree and index");
    assert_eq!(summary.total_bytes, stream.len() as u64);
    let (mut file, facts) = builder.finish()?;
    let mut index = Vec::new();
    file.read_to_end(&mut index)?;
    Ok((index, facts))
}

impl Replay {
    /// Adds a stream with an index that was built within limits. If the builder refuses it, the
    /// index is built within those of a backup, and false is returned.
    pub fn add_within(&mut self, limits: MemoryLimits, stream: Vec<u8>) -> bool {
        let built = match index_within(limits, &stream) {
            Ok(index) => Some(index),
            Err(BuildError::Forgotten { .. } | BuildError::TooMany { .. }) => None,
            Err(err) => panic!("build the index: {err}"),
        };
        let is_built = built.is_some();
        self.indexes.push(built.unwrap_or_else(|| index_of(&stream)));
        self.streams.push(stream);
        is_built
    }

    fn chain(&self) -> IndexChain {
        let table = |(n, (bytes, facts)): (usize, &(Vec<u8>, IndexFacts))| {
            let directory_sha256 = Some(facts.directory_sha256);
            Table::open(format!("index {n}"), Box::new(bytes.clone()), directory_sha256)
                .expect("a readable tree and index")
        };
        IndexChain::new(self.indexes.iter().enumerate().map(table).collect())
            .expect("a readable tree and index")
    }

    pub fn assert_same(&self, snapshot: &Path, situation: &str) {
        let chain = self.chain();
        let root = chain
            .lookup(b"")
            .expect("a readable tree and index")
            .expect("a readable tree and index");
        let mut inodes = HashMap::new();
        let compared = self.compare(&chain, &root, b"", snapshot, &mut inodes, situation);
        assert!(compared > 10, "{situation}: {compared} files");
        assert!(chain.lookup(b"no/such/file").expect("a readable tree and index").is_none());
    }

    fn compare(
        &self,
        chain: &IndexChain,
        found: &ChainFile,
        path: &[u8],
        snapshot: &Path,
        inodes: &mut HashMap<u64, btrfs_stream_index::chain::FileId>,
        situation: &str,
    ) -> usize {
        let shown = format!("{situation}, {}", String::from_utf8_lossy(path));
        let on_disk = snapshot.join(std::ffi::OsStr::from_bytes(path));
        let metadata = fs::symlink_metadata(&on_disk).expect("a readable tree and index");
        let summary = &found.metadata;
        let kind = metadata.file_type();
        let want = match () {
            () if kind.is_dir() => FileType::Directory,
            () if kind.is_symlink() => FileType::Symlink,
            () if kind.is_fifo() => FileType::Fifo,
            () => FileType::File,
        };
        assert_eq!(summary.file_type, Some(want), "{shown}");
        if want != FileType::Symlink {
            assert_eq!(summary.mode, Some(metadata.mode() & 0o7777), "mode of {shown}");
        }
        assert_eq!(summary.owner, Some((metadata.uid(), metadata.gid())), "owner of {shown}");
        let modified = summary.modified.expect("a readable tree and index");
        let time = (metadata.mtime(), metadata.mtime_nsec() as u32);
        assert_eq!((modified.seconds, modified.nanos), time, "mtime of {shown}");
        if want != FileType::Directory {
            let id = inodes.entry(metadata.ino()).or_insert(found.id());
            assert_eq!(*id, found.id(), "inode of {shown}");
            assert!(metadata.nlink() == 1 || found.is_linked, "links of {shown}");
        }
        match want {
            FileType::Directory => {
                return self.compare_directory(chain, found, path, snapshot, inodes, situation);
            }
            FileType::Symlink => {
                let target = fs::read_link(&on_disk).expect("a readable tree and index");
                assert_eq!(summary.target.as_deref(), Some(target.as_os_str().as_bytes()));
            }
            FileType::File => {
                assert_eq!(summary.length.after(0), metadata.len(), "length of {shown}");
                assert!(
                    self.content(chain, found)
                        == fs::read(&on_disk).expect("a readable tree and index"),
                    "{shown}"
                );
                let mut xattrs = chain.xattrs(found).expect("a readable tree and index");
                let mut names = vec![0; 4096];
                let bytes = rustix::fs::llistxattr(&on_disk, &mut names)
                    .expect("a readable tree and index");
                for name in names[..bytes].split(|byte| *byte == 0).filter(|it| !it.is_empty()) {
                    let mut value = vec![0; 4096];
                    let bytes = rustix::fs::lgetxattr(&on_disk, name, &mut value)
                        .expect("a readable tree and index");
                    value.truncate(bytes);
                    assert_eq!(xattrs.remove(name), Some(value), "xattr of {shown}");
                }
                assert!(xattrs.is_empty(), "xattrs of {shown}: {xattrs:?}");
            }
            FileType::CharDevice | FileType::BlockDevice | FileType::Fifo | FileType::Socket => {}
        }
        1
    }

    fn compare_directory(
        &self,
        chain: &IndexChain,
        found: &ChainFile,
        path: &[u8],
        snapshot: &Path,
        inodes: &mut HashMap<u64, btrfs_stream_index::chain::FileId>,
        situation: &str,
    ) -> usize {
        let on_disk = snapshot.join(std::ffi::OsStr::from_bytes(path));
        let entries = fs::read_dir(on_disk).expect("a readable tree and index");
        let mut want: Vec<_> = entries
            .map(|it| it.expect("a readable tree and index").file_name().as_bytes().to_vec())
            .collect();
        want.sort();
        let listed = listed_in_pages(chain, found);
        let names: Vec<_> = listed.iter().map(|(name, _)| name.clone()).collect();
        let text = |names: &[Vec<u8>]| {
            names.iter().map(|it| String::from_utf8_lossy(it).into_owned()).collect::<Vec<_>>()
        };
        let shown = format!("{situation}, {}", String::from_utf8_lossy(path));
        assert_eq!(text(&names), text(&want), "{shown}");
        let mut compared = 1;
        for (name, listed) in listed {
            let path = join(path, &name);
            let found = chain
                .lookup(&path)
                .expect("a readable tree and index")
                .expect("a readable tree and index");
            assert_eq!((found.id(), &found.metadata), (listed.id(), &listed.metadata), "{shown}");
            assert_eq!(found.content_nodes(), listed.content_nodes(), "{shown}");
            compared += self.compare(chain, &listed, &path, snapshot, inodes, situation);
        }
        compared
    }

    /// Reads a file from the streams, by its extents.
    fn content(&self, chain: &IndexChain, found: &ChainFile) -> Vec<u8> {
        let mut content = vec![0; found.metadata.length.after(0) as usize];
        let mut extents = Vec::new();
        let collected = chain.extents::<IndexChainError>(found, |extent| {
            extents.push(extent);
            Ok(())
        });
        collected.expect("a readable tree and index");
        for extent in extents {
            let bytes = match extent.source {
                Source::Stream { level, start } => {
                    self.streams[level][start as usize..][..extent.length as usize].to_vec()
                }
                Source::Encoded { level, write, skip } => {
                    let stored =
                        &self.streams[level][write.data.start as usize..write.data.end as usize];
                    assert_eq!(write.compression, 2, "zstd");
                    let decoded = zstd_frame(stored, write.decoded_length as usize);
                    decoded[(write.skip + skip) as usize..][..extent.length as usize].to_vec()
                }
            };
            content[extent.offset as usize..][..bytes.len()].copy_from_slice(&bytes);
        }
        content
    }
}

/// Lists a directory in pages of several lengths, which must be the same.
fn listed_in_pages(chain: &IndexChain, found: &ChainFile) -> Vec<(Vec<u8>, ChainFile)> {
    let (mut entries, mut listed) = (EntryReader::new(found.clone()), Vec::new());
    while let Some(entry) = entries.take(chain).expect("a readable tree and index") {
        listed.push(entry);
    }
    for limit in [1, 3, 10] {
        let (mut again, mut after) = (Vec::new(), Some(Vec::new()));
        while let Some(from) = after {
            let page = chain.list_page(found, &from, limit).expect("a readable tree and index");
            again.extend(page.entries);
            after = page.next;
        }
        let facts = |(name, file): &(Vec<u8>, ChainFile)| {
            (name.clone(), file.id(), file.metadata.clone(), file.content_nodes())
        };
        let (want, again): (Vec<_>, Vec<_>) =
            (listed.iter().map(facts).collect(), again.iter().map(facts).collect());
        assert_eq!(again, want, "in pages of {limit}");
    }
    listed
}

/// Decodes the first frame; the kernel fills the last sector up.
fn zstd_frame(stored: &[u8], length: usize) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(length);
    let mut decoder =
        zstd::stream::read::Decoder::new(stored).expect("a readable tree and index").single_frame();
    decoder.read_to_end(&mut decoded).expect("a readable tree and index");
    decoded.resize(length, 0);
    decoded
}
