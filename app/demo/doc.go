// Package demo tells the whole story on one machine in under a minute, and
// measures it: a real directory is backed up through a real queue by worker
// processes, changed, backed up again, a worker is killed in the middle of a
// job, a message typed by hand becomes a backup, every stored byte is verified,
// one is flipped and found, and the tree is restored and compared file by file. In the
// end a second region copies everything, the first one is destroyed, and the tree is
// restored from the copy.
//
// Nothing is simulated. All of it happens in a directory of its own, which is
// removed afterwards unless it is asked to stay; the source is only read.
package demo
