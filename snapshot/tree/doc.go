// Package tree is the format of what a snapshot holds: nodes (files,
// directories and everything else a file system knows), the extents of their
// content, and directories of any size.
//
// # Shapes
//
// A [Node] is one file-system entry with its metadata. Its [Content] is a list
// of extents. For a regular file an extent is a data blob or a hole; for a
// directory an extent is a tree blob that holds entries in byte order of their
// names. Lists longer than [InlineExtents] spill into tree blobs of their own,
// recursively, so neither a file nor a directory has a size limit and nothing
// here holds more than a few blobs in memory.
//
// A snapshot's root is the id of a tree blob with exactly one node, whose name
// is empty ([SaveRoot], [LoadRoot]).
//
// # Rules
//
//   - The encoding is canonical: equal nodes give equal bytes, and the decoder
//     refuses everything the encoder would not have written. That is what lets
//     an unchanged directory deduplicate to nothing.
//   - Directory blobs and extent lists are cut where their content says, so
//     that one changed, added or removed entry rewrites a number of blobs that
//     does not depend on the size of the directory.
//   - Names are bytes. The decoder refuses names that could leave a directory:
//     empty, ".", "..", or holding a slash or a zero byte.
//   - A field with an unknown critical tag is refused ([ErrUnknownField]); an
//     unknown tag that is not critical is passed over. docs/format-tree.md has the
//     table of tags.
//   - The access time is not kept: reading a file would change its entry, and
//     with it every directory above, each time.
//
// Sizes and lengths are bytes, except that the length of a directory's extent
// is its number of entries. Times are seconds and nanoseconds since 1970, UTC.
package tree
