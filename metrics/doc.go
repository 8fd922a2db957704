// Package metrics holds every number that Prometheus may ask for, in one
// registry of its own, under names that all begin with "mahavishnu_".
//
// Rooms declare small interfaces of what they count; a [Metrics] has the
// methods of all of them. Methods never block and are safe for concurrent use.
//
// # Rules
//
//   - Units are in the names: seconds and bytes; counters end in _total; times
//     are Unix seconds and end in _timestamp_seconds.
//   - Labels have few values: kinds, outcomes, and names from the configuration.
//     What people mistype never becomes a label.
//   - A metric without a method that moves it fails a test, as does a method
//     that nothing calls.
package metrics
