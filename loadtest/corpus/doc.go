// Package corpus makes directory trees to measure with: the same bytes for the
// same [Spec] on every machine, so that nothing big is ever checked in and two
// tools can be given identical work. [Compare] tells whether a copy of a tree is
// the tree.
//
// Sizes are bytes. A tree is written by as many goroutines as there are
// processors; each file's content depends only on the seed and the file's
// number.
package corpus
