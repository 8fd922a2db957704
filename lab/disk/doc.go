// Package disk makes disks that stall: file systems in files, which can be frozen so that whoever
// writes to them hangs in the kernel, as on a disk that is dying or storage that is away. What
// hangs there cannot be interrupted, not by SIGKILL either, until the disk is thawed.
//
//	d, err := disk.Mount(filepath.Join(dir, "disk.img"), filepath.Join(dir, "disk"))
//	defer d.Close()
//	d.Stall()
//	d.Thaw()
//
// It is there on Linux, for root.
package disk
