package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"mahavishnu/fault"
)

const (
	// askServers is answered by every server of the cluster. It is one of the few
	// questions of the system's account that any account may ask, about itself.
	askServers = "$SYS.REQ.ACCOUNT.PING.STATZ"
	// tagRegion is what the tag of a server begins with that tells its region, as in
	// deploy/nats. JetStream spreads replicas by the same tag.
	tagRegion = "region:"
	// answersApart is how long after one server's answer another's is waited for.
	answersApart = 250 * time.Millisecond
)

// ErrNoRegion is why a stream's leader cannot be kept out of a region: it is not known
// where a server is.
var ErrNoRegion = errors.New("neither a tag nor the name of the server tells its region")

// ServerRegions are the regions of the servers that answer, by their names, from their
// tags ("region:eu"). A server without such a tag is not among them; a user who may not
// ask is answered by none.
func (c *Conn) ServerRegions(ctx context.Context) (map[string]string, error) {
	const op = "ask servers for their regions"
	inbox := c.nc.NewInbox()
	answers, err := c.nc.SubscribeSync(inbox)
	if err != nil {
		return nil, c.failed(op, "", err)
	}
	defer answers.Unsubscribe() //nolint:errcheck // the connection's end ends it too
	if err := c.nc.PublishRequest(askServers, inbox, []byte(`{"include_unused":true}`)); err != nil {
		return nil, c.failed(op, "", err)
	}
	regions := map[string]string{}
	for {
		waiting, cancel := context.WithTimeout(ctx, answersApart)
		m, err := answers.NextMsgWithContext(waiting)
		cancel()
		switch {
		case ctx.Err() != nil:
			return nil, c.failed(op, "", context.Cause(ctx))
		case errors.Is(err, context.DeadlineExceeded), errors.Is(err, nats.ErrNoResponders):
			return regions, nil
		case err != nil:
			return nil, c.failed(op, "", err)
		}
		name, region, err := serverRegion(m.Data)
		if err != nil {
			return nil, fault.New(op, "", err, "")
		}
		if region != "" {
			regions[name] = region
		}
	}
}

// serverRegion reads one answer.
func serverRegion(answer []byte) (name, region string, err error) {
	var a struct {
		Server struct {
			Name string   `json:"name"`
			Tags []string `json:"tags"`
		} `json:"server"`
	}
	if err := json.Unmarshal(answer, &a); err != nil {
		return "", "", fmt.Errorf("decode a server's answer: %w", err)
	}
	for _, tag := range a.Server.Tags {
		if r, ok := strings.CutPrefix(tag, tagRegion); ok {
			return a.Server.Name, r, nil
		}
	}
	return a.Server.Name, "", nil
}

// regionOf tells regions by tags, and where there is none by names: "eu-1" is in "eu".
// One that is not known is "", for the name says something else then; with nil every
// name will do.
func regionOf(tags map[string]string, known []string) func(server string) string {
	// The server writes tags in lower case; regions are as the configuration has them.
	spelled := func(region string) string {
		if known == nil {
			return region
		}
		i := slices.IndexFunc(known, func(k string) bool { return strings.EqualFold(k, region) })
		if i < 0 {
			return ""
		}
		return known[i]
	}
	return func(server string) string {
		if region := spelled(tags[server]); region != "" {
			return region
		}
		for _, region := range []string{server[:max(strings.LastIndexByte(server, '-'), 0)], server} {
			if region != "" && (known == nil || slices.Contains(known, region)) {
				return region
			}
		}
		return ""
	}
}
