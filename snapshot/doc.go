// Package snapshot turns files into snapshots of a repository, and snapshots
// back into files.
//
// # What it does
//
// [Backup] walks a source, cuts what changed into chunks and stores what the
// repository does not have yet. Restore puts a snapshot, or a part of it, back;
// Verify proves that it could. Diff, Compare, List and Dump look into snapshots.
//
// # Rules
//
//   - A snapshot is committed whole or not at all, and restores alone: there is
//     no chain to walk. A parent only saves reading.
//   - Nothing is passed over in silence. An entry that cannot be read is named
//     and counted, and the run goes on; the caller exits with code 3.
//   - A file's recorded content is what was read, byte for byte, and its
//     recorded size is the number of those bytes. A file that changed meanwhile
//     says so, and the next backup reads it again.
//   - Memory does not grow with the number or the size of files. What grows is
//     one directory's list of names while it is walked, and one record for each
//     inode with several names until all of them were seen.
//   - Storage is only ever added to. A backup that is interrupted keeps what it
//     stored, and the next one finds it.
//
// Paths inside a snapshot use slashes and start at the source's root, without a
// slash. They are bytes; [Printable] makes them text. Sizes are bytes.
package snapshot
