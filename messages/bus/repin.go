package bus

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"mahavishnu/fault"
	"mahavishnu/messages"
)

// apiStepDown asks the leader of a stream to hand over.
const apiStepDown = "$JS.API.STREAM.LEADER.STEPDOWN."

// RepinOptions say which region the leaders of streams stay out of. Away is
// required.
//
// When a server dies, its streams have no leader for 4 to 9 seconds, and nothing
// can be done about that. A failover cannot wait so long: so the streams it writes
// to are led from somewhere else than where the services are, and the loss of the
// active region costs no election.
type RepinOptions struct {
	// Away is the region whose services are active.
	Away string
	// Prefer are the regions to lead from, best first; nil leaves that open.
	Prefer []string
	// Streams to move; nil are those that a failover writes to: leases, nodes,
	// records of jobs.
	Streams []string
	// Regions are all that there are. A server says by its tag in which it is
	// ("region:us-east-1"); of one that has none, the name does, as deploy/nats names
	// servers: "us-east-1-2" is in "us-east-1". Nil takes any tag and name.
	Regions []string
	// RegionOf tells the region of a server by its name, "" where that is not known;
	// nil does as Regions says.
	RegionOf func(server string) string
}

// Pinned is where a stream is led from.
type Pinned struct {
	Stream string
	// Leader is the server that leads it, in Region; "" when the stream has one
	// replica and no choice.
	Leader, Region string
	// From is the server that led it before, when it was moved.
	From string
}

// Repin moves the leaders of streams out of a region, and leaves those alone that
// are elsewhere already. Call it when another region becomes active, and now and
// then: elections happen. The error names the streams that could not be moved.
func Repin(ctx context.Context, c *Conn, o RepinOptions) ([]Pinned, error) {
	if o.Away == "" {
		return nil, fault.New("move stream leaders", "", errors.New("the region to stay out of is missing"), "")
	}
	if o.Streams == nil {
		o.Streams = []string{"KV_" + messages.BucketLeases, "KV_" + messages.BucketNodes, "KV_" + messages.BucketJobs}
	}
	if o.RegionOf == nil {
		tags, err := c.ServerRegions(ctx)
		if err != nil {
			return nil, err
		}
		o.RegionOf = regionOf(tags, o.Regions)
	}
	var all []Pinned
	var errs []error
	for _, stream := range o.Streams {
		p, err := c.repin(ctx, stream, o)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		all = append(all, p)
	}
	return all, errors.Join(errs...)
}

func (c *Conn) repin(ctx context.Context, stream string, o RepinOptions) (Pinned, error) {
	at := func(cluster *jetstream.ClusterInfo, from string) Pinned {
		return Pinned{Stream: stream, Leader: cluster.Leader, Region: o.RegionOf(cluster.Leader), From: from}
	}
	cluster, err := c.placement(ctx, stream)
	switch {
	case err != nil:
		return Pinned{}, err
	case cluster == nil || len(cluster.Replicas) == 0:
		return Pinned{Stream: stream}, nil
	case o.RegionOf(cluster.Leader) == "":
		return Pinned{}, fault.New("keep the leader of "+stream+" out of", o.Away, fmt.Errorf("it is %s, and %w", cluster.Leader, ErrNoRegion),
			`give every server its region, in its configuration: server_tags: [ "region:NAME" ]; or name it NAME-1`)
	case o.RegionOf(cluster.Leader) != o.Away:
		return at(cluster, ""), nil
	}
	from := cluster.Leader
	for _, successor := range successors(cluster, o) {
		if err = c.stepDown(ctx, stream, successor); err != nil {
			continue
		}
		// The answer says that the leader gave up, not that another one leads.
		for range 20 {
			if err = c.clock.Sleep(ctx, firstPause); err != nil {
				return Pinned{}, c.failed("move the leader of", stream, err)
			}
			if cluster, err = c.placement(ctx, stream); err != nil {
				return Pinned{}, err
			}
			if region := o.RegionOf(cluster.Leader); region != "" && region != o.Away {
				return at(cluster, from), nil
			}
		}
		err = fmt.Errorf("%s leads again", cluster.Leader)
	}
	if err == nil {
		err = errors.New("no replica elsewhere is up to date")
	}
	return Pinned{}, fault.New("move the leader of "+stream+" out of", o.Away, err, "see that the servers of the other regions run and have caught up; it is tried again")
}

// placement tells who has the stream; it waits while nobody leads it.
func (c *Conn) placement(ctx context.Context, stream string) (*jetstream.ClusterInfo, error) {
	var cluster *jetstream.ClusterInfo
	err := c.persist(ctx, "look at stream", stream, func(ctx context.Context) error {
		s, err := c.js.Stream(ctx, stream)
		if err == nil {
			cluster = s.CachedInfo().Cluster
		}
		return err
	})
	return cluster, err
}

// successors are the replicas that may lead, best first.
func successors(cluster *jetstream.ClusterInfo, o RepinOptions) []string {
	rank := func(server string) int {
		if i := slices.Index(o.Prefer, o.RegionOf(server)); i >= 0 {
			return i
		}
		return len(o.Prefer)
	}
	var fit []*jetstream.PeerInfo
	for _, r := range cluster.Replicas {
		if region := o.RegionOf(r.Name); r.Current && !r.Offline && region != "" && region != o.Away {
			fit = append(fit, r)
		}
	}
	slices.SortFunc(fit, func(a, b *jetstream.PeerInfo) int {
		return cmp.Or(cmp.Compare(rank(a.Name), rank(b.Name)), cmp.Compare(a.Lag, b.Lag), cmp.Compare(a.Name, b.Name))
	})
	var names []string
	for _, r := range fit {
		names = append(names, r.Name)
	}
	return names
}

// stepDown asks a stream's leader to hand over to a replica.
func (c *Conn) stepDown(ctx context.Context, stream, successor string) error {
	type placement struct {
		Preferred string `json:"preferred"`
	}
	body, err := json.Marshal(struct {
		Placement placement `json:"placement"`
	}{placement{successor}})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	m, err := c.nc.RequestWithContext(ctx, apiStepDown+stream, body)
	if err != nil {
		return c.failed("ask for another leader of", stream, err)
	}
	var answer struct {
		Error *jetstream.APIError `json:"error"`
	}
	if err := json.Unmarshal(m.Data, &answer); err != nil {
		return fault.New("ask for another leader of", stream, err, "")
	}
	if answer.Error != nil {
		return fault.New("ask for another leader of", stream, answer.Error, "")
	}
	return nil
}
