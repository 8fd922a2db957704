// Package fsmeta is where snapshots touch the file system: it reads everything
// an entry is, apart from its content, and puts it back.
//
// # Rules
//
//   - Every access is relative to an open directory ([Dir]) and names one entry
//     of it. No symbolic link is ever followed, so neither a hostile tree nor a
//     hostile neighbour can lead an access out of the directory, and paths of
//     any length work. Only [OpenRoot] follows links: its path is the
//     operator's own word.
//   - Names are bytes, held in Go strings.
//   - What cannot be read or set (an owner without privilege, an attribute the
//     file system does not know) is a [Loss]: it names the piece and the cause,
//     it is returned, and the rest goes on.
//   - [Dir.Apply] sets owner, then attributes and ACLs, then the mode, then the
//     times, because each of these resets some of the ones after it. Setuid and
//     setgid bits are set only on a file that has the owner they were meant for.
//
// Linux is complete. Elsewhere the standard library's os.Root does the same
// with what it offers; attributes are kept on macOS for files and directories.
// Times are nanoseconds, sizes and offsets bytes.
package fsmeta
