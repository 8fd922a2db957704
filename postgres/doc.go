// Package postgres controls one PostgreSQL server of a pair or a group: it starts
// and stops it, tells how it is, makes standbys, promotes them, and brings a former
// primary back. It runs beside the server, as its owner or as root, and knows
// nothing of leases: whoever decides that a server may be written to is above.
//
// # Never writable by itself
//
// A [Server] starts PostgreSQL in one way only: as a standby. standby.signal is in the
// data directory before every start, and is put back as soon as a promotion has taken it
// away; the running primary does not look at it. Whatever starts the server again, be it
// this package, an init system after a power cut or a person, gets a server that takes no
// writes. Only [Server.Promote] makes it writable, and each promotion begins a new
// timeline, so that two histories can be told apart for ever. PostgreSQL's own
// restart after a crashed backend is switched off (restart_after_crash), because nobody
// would be asked.
//
// # Fencing
//
// [Server.Fence] ends all processes of the data directory: SIGQUIT, which is an immediate
// shutdown, and after a bound (at once when the postmaster is stopped) SIGKILL to the
// postmaster and then to each of its children, which would otherwise finish and acknowledge
// what they are at. It returns when none is left. A process belongs to the server when it
// runs a program called postgres in the data directory: a pid that another program got
// is never signalled, and one that left the postmaster's family is still found. A
// process that waits for a dead disk cannot end; it counts as gone when SIGKILL is pending, for it
// will never run another instruction of its own.
//
// # Rejoining
//
// [Server.Rejoin] makes a standby of whatever is in the data directory. It compares
// the timelines, lets the server simply follow when its history is a part of the
// primary's, rewinds it with pg_rewind when it went on alone, and copies the primary
// anew when that is not possible; it says which and why. Data directories are moved
// aside, not deleted, unless [Options.Discard] is set. pg_rewind needs wal_log_hints or
// data checksums, and the primary's WAL back to the fork.
//
// # What it needs
//
// PostgreSQL 13 or later, tested with 15. A role that may do everything (Admin), for control and
// pg_rewind, and a role with REPLICATION; both by password files or trusted addresses. Settings
// are written to postgresql.auto.conf, where ALTER SYSTEM writes too: primary_conninfo,
// primary_slot_name and synchronous_standby_names. Any init system's own start of the
// server should be disabled, as the keeper starts it.
//
// Processes are found in /proc on Linux. Elsewhere on Unix ps tells of them, so that a backend
// that lost its postmaster is not found; Windows is not supported.
package postgres
