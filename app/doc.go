// Package app wires roles into one process: it turns a configuration into
// connections, repositories and running roles, and takes them down again in
// the opposite order.
//
// A process is made with [New], started with [App.Start] and ended with
// [App.Stop]; [App.Run] does all three and lives until its context ends. Every
// role runs in any process, so a whole system fits into one (`mahavishnu up`)
// and into a test, on free ports and in temporary directories.
//
// Nothing here decides anything about backups: the scheduler decides when, the
// worker does the work, the repository keeps it. What makes failovers happen is
// in app/failover.
package app
