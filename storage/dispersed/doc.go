// Package dispersed is storage that is spread over several others, in regions that do
// not fail together: of every object each of k+m storages keeps one shard, a
// Reed-Solomon code word of which any k are enough. m storages may be lost, may be away
// for a while, or may return what is not true; together they hold (k+m)/k times the
// bytes, where as much safety from full copies takes m+1 times.
//
// [Open] makes one of storages that are open, [ParseURL] reads the URL that lists
// them. [Backend.Check] tells what is missing or wrong, [Backend.Repair] makes it
// anew. docs/dispersal.md specifies the format, DESIGN.md says why the protocols are right.
package dispersed
