// Package torturetest builds a directory that holds everything a file system
// allows and backup programs get wrong: names of arbitrary bytes and of full
// length, paths longer than PATH_MAX, a crowded directory, empty things,
// symbolic links of every sort, hard links across directories, sparse files,
// extended attributes and ACLs, setuid and sticky bits, fifos, sockets, devices
// and times far from now.
//
// The crowded directory has 1,500 entries, or 100,000 when the
// environment has MAHAVISHNU_TORTURE=full. What needs privilege (devices, other
// owners, trusted attributes) is there when the test runs as root.
package torturetest
