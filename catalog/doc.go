// Package catalog answers questions about snapshots without opening the
// repository: which there are, how large, from which job, verified when.
//
// # Rules
//
//   - The catalog is a cache. Nothing is restored, kept or deleted because of
//     it, and losing it loses nothing: [Catalog.Rebuild] makes it again from
//     storage alone. Only verification marks live nowhere else; after a total
//     loss snapshots count as unverified until they are verified again.
//   - Between rebuilds it follows the events of jobs ([Catalog.Apply]).
//     Applying an event twice, or an old one late, changes nothing.
//   - Entries are kept in a small [Store]: a bucket of the queue, a file for
//     work without any queue, or memory.
//
// Sizes are bytes, percentages run from 0 to 100.
package catalog
