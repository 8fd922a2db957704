package failover

import (
	"context"
	"errors"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/rs/zerolog"

	"mahavishnu/clock"
	"mahavishnu/config"
	"mahavishnu/coordinator/keeper"
	"mahavishnu/coordinator/standby"
	"mahavishnu/fault"
	"mahavishnu/messages"
	"mahavishnu/messages/bus"
	"mahavishnu/postgres"
)

// KeepersOptions say whose members are kept, and how.
type KeepersOptions struct {
	Config *config.Config
	Bus    *bus.Bus
	Host   Host
	// Timing is that of the leases of services.
	Timing messages.LeaseTiming
	// Watchdog is the command, with its arguments, that stops a member when this process
	// is gone; nil runs none, which is for tests.
	Watchdog []string
	Log      zerolog.Logger
	Clock    clock.Clock
}

// Keepers keep the members of services that live beside a node.
type Keepers struct {
	KeepersOptions
	mu  sync.Mutex
	all []*keeper.Keeper
}

// NewKeepers returns keepers of nobody yet.
func NewKeepers(o KeepersOptions) *Keepers { return &Keepers{KeepersOptions: o} }

// Start keeps every member beside the node. After an error the host stops those that were
// started before.
func (ks *Keepers) Start(ctx context.Context) error {
	services := ks.Config.Failover.Services
	for _, name := range slices.Sorted(maps.Keys(services)) {
		s := services[name]
		for _, member := range slices.Sorted(maps.Keys(s.Members)) {
			if s.Members[member].Node != ks.Config.Node.Name {
				continue
			}
			if err := ks.start(ctx, name, s, member); err != nil {
				return err
			}
		}
	}
	return nil
}

func (ks *Keepers) start(ctx context.Context, service string, s config.FailoverService, member string) error {
	spec, err := memberSpec(service, s, member, ks.Timing)
	if err != nil {
		return err
	}
	driver, err := spec.Open()
	if err != nil {
		return err
	}
	store, err := ks.Bus.Store(messages.BucketLeases)
	if err != nil {
		return err
	}
	dir := filepath.Join(ks.Config.Node.DataDir, "keepers")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fault.New("create directory", dir, err, "make node.data_dir writable")
	}
	leases := newTenures(ks.Bus, service, member, ks.Timing, ks.Clock)
	log := ks.Log.With().Str("part", "keeper").Str("service", service).Str("member", member).Logger()
	var watchdog func() (keeper.Watchdog, error)
	if len(ks.Watchdog) > 0 {
		// Not the log: what the watchdog cannot do it says when this process is gone.
		watchdog = func() (keeper.Watchdog, error) { return keeper.StartWatchdog(ks.Watchdog, spec, os.Stderr) }
	}
	last := keeper.Status{}
	k, err := keeper.New(keeper.Options{
		Service: service, Member: member, Driver: driver, Leases: leases, Records: keeper.BusRecords(store),
		Timing: ks.Timing, StateFile: filepath.Join(dir, service+"-"+member+".json"),
		Mode: keeper.Mode(s.Mode), Patience: s.Patience.Std(), Retake: s.Retake.Std(), Watchdog: watchdog,
		OnChange: func(now keeper.Status) {
			if now.State != last.State || now.Reason != last.Reason {
				log.Info().Str("state", string(now.State)).Str("reason", now.Reason).Uint64("epoch", now.Epoch).Msg("keeper")
			}
			if now.Lacks != "" && now.Lacks != last.Lacks {
				log.Warn().Str("lacks", now.Lacks).Msg("the member cannot be controlled")
			}
			if now.State == keeper.Fencing && now.Trouble != "" && now.Trouble != last.Trouble {
				log.Error().Str("trouble", now.Trouble).Str("hint", keeper.Remedy(service, member)).Msg("nobody takes over before the member is stopped")
			}
			last = now
		},
		Clock: ks.Clock,
	})
	if err != nil {
		return err
	}
	leases.options.Alive = k.Alive
	ks.Host.Launch("lease of "+service, leases.run)
	ks.Host.Launch("keeper of "+service+"/"+member, k.Run)
	stop, err := ks.Bus.ServeMember(context.WithoutCancel(ctx), service, member, obey(k))
	if err != nil {
		return err
	}
	ks.Host.Push("commands of "+service+"/"+member, func(context.Context) error { stop(); return nil })
	ks.mu.Lock()
	ks.all = append(ks.all, k)
	ks.mu.Unlock()
	return nil
}

// memberSpec says how a member is controlled.
func memberSpec(service string, s config.FailoverService, member string, timing messages.LeaseTiming) (standby.Spec, error) {
	m := s.Members[member]
	stop := standby.Stop{Program: m.Stop, After: timing.StopTime / 2}
	switch s.Kind {
	case config.ServicePostgres:
		host, port, err := splitAddress(m.Address)
		if err != nil {
			return standby.Spec{}, err
		}
		p := m.Postgres
		return standby.Spec{Postgres: &postgres.Options{
			BinDir: p.BinDir, DataDir: p.DataDir, Name: member, Host: host, Port: port,
			Admin:       postgres.Login{User: p.Admin, PasswordFile: p.AdminPasswordFile},
			Replication: postgres.Login{User: p.Replication, PasswordFile: p.ReplicationPasswordFile},
			SSLMode:     p.SSLMode, SSLRootCert: p.SSLRootCert, RunAs: p.RunAs, LogFile: p.LogFile,
			WriteProbe: p.WriteProbe, Discard: p.Discard,
		}}, nil
	case config.ServiceHTTP:
		return standby.Spec{HTTP: &standby.HTTPOptions{Endpoint: m.Address, Service: service, Member: member, TokenFile: m.TokenFile, Stop: stop}}, nil
	}
	c := m.Commands
	return standby.Spec{Command: &standby.CommandOptions{
		Service: service, Member: member, Health: c.Health, Fence: c.Fence, Promote: c.Promote, Demote: c.Demote, Rejoin: c.Rejoin, Stop: stop,
	}}, nil
}

func splitAddress(address string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(address)
	if err == nil {
		port, err = strconv.Atoi(text)
	}
	if err != nil {
		return "", 0, fault.New("read the address of a member", address, err, `write it as "host:port"`)
	}
	return host, port, nil
}

// peerAddress is where another member is reached, of which the configuration has an address
// or, for kind http, a URL.
func peerAddress(address string) (host string, port int, err error) {
	if !strings.Contains(address, "://") {
		return splitAddress(address)
	}
	c := config.FailoverMember{Address: address}.EffectiveClients()
	if host = c.Host; len(c.Addresses) > 0 {
		host = c.Addresses[0]
	}
	return host, c.Port, nil
}

// Members are the states of all members beside this node, for heartbeats.
func (ks *Keepers) Members() []messages.MemberState {
	ks.mu.Lock()
	defer ks.mu.Unlock()
	var all []messages.MemberState
	for _, k := range ks.all {
		all = append(all, memberState(k.Status()))
	}
	return all
}

// errNoPatience ends a command whose commander has stopped waiting for it.
var errNoPatience = errors.New("whoever ordered it waits for it no longer")

// obey passes a command on to a keeper, and its answer back. It is in force as long as it
// is waited for: nobody would expect a member to be promoted later.
func obey(k *keeper.Keeper) func(context.Context, messages.MemberCommand) messages.MemberReply {
	return func(ctx context.Context, c messages.MemberCommand) messages.MemberReply {
		order := keeper.Command{Verb: keeper.Verb(c.Verb), Epoch: c.Epoch, Tenure: c.Tenure, Floor: c.Floor, Force: c.Force, By: c.By, Why: c.Reason}
		if c.Verb == messages.VerbStatus {
			if c.Epoch == 0 {
				return messages.MemberReply{OK: true, State: memberState(k.Status())}
			}
			order.Verb = keeper.Heed
		}
		ctx, cancel := context.WithTimeoutCause(ctx, c.Patience(), errNoPatience)
		defer cancel()
		var answer keeper.Answer
		var err error
		if c.Verb == messages.VerbRejoin {
			order.Primary.Name = c.Primary
			order.Primary.Host, order.Primary.Port, err = peerAddress(c.Address)
		}
		if err == nil {
			answer, err = k.Do(ctx, order)
		}
		reply := messages.MemberReply{OK: err == nil, Tenure: answer.Epoch, State: memberState(k.Status())}
		if err != nil {
			reply.Message, reply.Hint, reply.Code = err.Error(), strings.Join(fault.Hints(err), "; "), memberCode(err)
		}
		return reply
	}
}

// memberCode names reasons that programs decide on.
func memberCode(err error) messages.MemberCode {
	switch {
	case errors.Is(err, keeper.ErrStale):
		return messages.MemberStale
	case errors.Is(err, keeper.ErrBehind):
		return messages.MemberBehind
	case errors.Is(err, keeper.ErrBusy):
		return messages.MemberBusy
	case errors.Is(err, keeper.ErrDeposed):
		return messages.MemberDeposed
	}
	return ""
}
