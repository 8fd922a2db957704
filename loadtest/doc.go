// Package loadtest measures the program as its users run it: whole processes,
// on trees of known content, with the operating system's own account of time
// and memory.
//
// Times are wall seconds and processor seconds (user and system), memory is the
// process's peak resident size in bytes as the kernel reports it. Figures are
// only comparable within one run on one machine: quote ratios.
package loadtest
