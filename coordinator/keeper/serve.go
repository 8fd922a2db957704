package keeper

import (
	"context"
	"errors"
	"net"
	"strconv"
	"strings"

	"mahavishnu/coordinator/standby"
	"mahavishnu/fault"
	"mahavishnu/messages"
)

// Serve carries out a command that came over the bus, and answers it.
func (k *Keeper) Serve(ctx context.Context, c messages.MemberCommand) messages.MemberReply {
	cmd, err := command(c)
	var answer Answer
	if err == nil {
		answer, err = k.Do(ctx, cmd)
	}
	reply := messages.MemberReply{OK: err == nil, Tenure: answer.Epoch, State: k.Status().Tell()}
	if err == nil {
		reply.State.Detail = answer.Detail
		return reply
	}
	reply.Message, reply.Code = strings.Join(append([]string{err.Error()}, fault.Hints(err)...), "; "), code(err)
	return reply
}

// command reads a message.
func command(c messages.MemberCommand) (Command, error) {
	cmd := Command{Verb: Verb(c.Verb), Epoch: c.Epoch, Tenure: c.Tenure, Floor: c.Floor, Force: c.Force}
	if c.Verb != messages.VerbRejoin {
		return cmd, nil
	}
	cmd.Primary.Name = c.Primary
	host, port, err := net.SplitHostPort(c.Address)
	if err == nil {
		cmd.Primary.Host = host
		cmd.Primary.Port, err = strconv.Atoi(port)
	}
	if err != nil {
		return cmd, fault.New("rejoin", c.Primary, err, "the address of the primary must be host:port")
	}
	return cmd, nil
}

// code names reasons that programs decide on.
func code(err error) messages.MemberCode {
	switch {
	case errors.Is(err, ErrStale):
		return messages.MemberStale
	case errors.Is(err, ErrBehind):
		return messages.MemberBehind
	case errors.Is(err, ErrBusy):
		return messages.MemberBusy
	case errors.Is(err, ErrDeposed):
		return messages.MemberDeposed
	}
	return ""
}

// Tell is the status as it travels with heartbeats and answers.
func (s Status) Tell() messages.MemberState {
	h := s.Health
	state := messages.MemberState{
		Service: s.Service, Member: s.Member, Healthy: h.Running && s.Trouble == "", Role: string(h.Role), Writable: h.Writable,
		Epoch: s.Epoch, Holds: s.Holds, Timeline: h.Timeline, Position: h.Position,
		LagBytes: h.LagBytes, LagMillis: h.LagTime.Milliseconds(), Detail: string(s.State),
	}
	switch {
	case s.State == Fenced || s.State == Fencing:
		state.Role = "fenced"
	case h.Role == standby.Standby && !h.Streaming:
		state.LagBytes, state.LagMillis = -1, -1 // what it does not know of, it cannot count
	}
	for _, more := range []string{s.Reason, h.Detail, s.Trouble} {
		if more != "" && !strings.Contains(state.Detail, more) {
			state.Detail += ": " + more
		}
	}
	return state
}
