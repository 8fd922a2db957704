// Package natstest runs real NATS servers for tests: alone, as clusters in this process, and
// as clusters of processes that can be killed.
package natstest

import (
	"testing"

	"mahavishnu/messages/natsserver"
)

// Main must be called first in TestMain of a package that uses StartProcesses: it turns the re-executed test binary into a server.
func Main() {}

// Start runs one embedded server in a temporary directory until the test ends.
func Start(t testing.TB) *natsserver.Server { panic("not built yet") }

// Cluster is N servers with one JetStream.
type Cluster struct{}

// StartCluster runs n servers in this process.
func StartCluster(t testing.TB, n int) *Cluster { panic("not built yet") }

// StartProcesses runs n servers as processes of their own.
func StartProcesses(t testing.TB, n int) *Cluster { panic("not built yet") }

// URL lists all servers.
func (c *Cluster) URL() string { return "" }

// Kill ends a server the hard way (SIGKILL); Restart starts it again with its old data.
func (c *Cluster) Kill(name string)    {}
func (c *Cluster) Restart(name string) {}

// Names lists the servers' names.
func (c *Cluster) Names() []string { return nil }

// StreamLeader is the server that leads a stream now.
func (c *Cluster) StreamLeader(stream string) string { return "" }
