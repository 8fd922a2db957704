// Package config reads the configuration file, refuses what is wrong in it, and
// tells why.
//
// One YAML file, strictly read: an unknown key, a wrong type, a duplicate or a
// contradiction is an error, and every error of the file is reported at once,
// each with its line, a caret and, where a name is near, a suggestion. [Load]
// returns either a [Config] that every room can rely on without checking it
// again, or [Errors].
//
// # What a loaded configuration promises
//
//   - Every path is absolute. Relative paths are taken from the directory of
//     the configuration file, or from the working directory when there is none.
//   - Every secret is resolved, whether it came by value, by file or by
//     environment; [Secret] never prints itself.
//   - Every default is filled in; a zero means what the field's comment says.
//   - Names refer to things that exist: regions, sources, schedules, time zones.
//
// # Units
//
// Durations carry a unit ("15m", "36h", "7d"), and so do sizes ("32MiB").
// Keys whose name ends in a unit (retention_days, rto_target_minutes) are plain
// whole numbers of it.
//
// # What is not built yet
//
// A setting whose room does not exist is never ignored in silence. Turning it
// on is an error that says so. Drills and alerts on failure, which a file may ask for
// in advance, load and are returned by [Config.Notices], which every start,
// `config check` and `doctor` print.
package config

//go:generate go run ./refdoc -source . -out ../docs/configuration.md
