package main

import (
	"context"
	"strings"
	"time"

	"mahavishnu/app"
	"mahavishnu/messages"
	"mahavishnu/messages/bus"
	"mahavishnu/terminal"
)

// queuePatience is how long doctor waits for the queue: a person is watching.
const queuePatience = 5 * time.Second

// checkQueue connects to the queue, binds to it, and compares clocks.
func (x *examination) checkQueue(ctx context.Context) {
	const check = "queue"
	switch {
	case x.cfg == nil:
		x.add(check, skipped, "", "not checked: only the configuration says where it is")
		return
	case x.cfg.File() == "":
		x.add(check, skipped, "", "not checked: without a configuration file nothing runs by itself")
		return
	}
	ctx, cancel := context.WithTimeout(ctx, queuePatience)
	defer cancel()
	place := app.QueueURL(x.cfg)
	if place == "" {
		x.add(check, bad, x.startIt(), "nothing runs with this configuration")
		return
	}
	conn, err := app.Dial(ctx, x.cfg, "mahavishnu doctor", nil)
	if err != nil {
		x.add(check, bad, x.startIt(), "no answer from %s: %v", place, err)
		return
	}
	defer func() { _ = conn.Close() }() // nothing was entrusted to it
	rtt, err := conn.RTT()
	if err != nil {
		x.add(check, bad, x.startIt(), "%v", err)
		return
	}
	b, err := bus.Bind(ctx, conn)
	if err != nil {
		x.add(check, bad, hintOr(err, x.startIt()), "%s answers, but its streams are not there: %v", place, err)
		return
	}
	info, err := b.Info(ctx)
	if err != nil {
		x.add(check, bad, hintOr(err, x.startIt()), "%v", err)
		return
	}
	x.add(check, good, "", "%s, answers in %s, %s waiting", place, terminal.Duration(rtt), terminal.Plural(info.Messages, "message"))
	if info.Dead > 0 {
		x.add("dead letters", note, "mahavishnu jobs dead", "%s", terminal.Plural(info.Dead, "message")+" could not be run")
	}
	x.checkRegions(info)
	x.checkServerClock(ctx, b)
}

func (x *examination) startIt() string {
	if x.cfg.NATS.URL != "" {
		return "start the NATS server at nats.url, or correct it: " + x.cfg.NATS.URL
	}
	return strings.TrimSpace("mahavishnu up --config " + x.cfg.File())
}

// checkRegions looks whether the queue serves every region that the
// configuration names.
func (x *examination) checkRegions(info bus.QueueInfo) {
	served := map[string]bool{}
	for _, c := range info.Consumers {
		served[c.Region] = true
	}
	for _, region := range x.cfg.Regions {
		if !served[region] {
			x.add("region "+region, bad, "start a process with this configuration once, which makes what is missing: mahavishnu up --config "+x.cfg.File(),
				"the queue knows no region %s: jobs for it would be refused", region)
		}
	}
}

// checkServerClock compares this machine's clock with the server's, as it
// stamps what it stores.
func (x *examination) checkServerClock(ctx context.Context, b *bus.Bus) {
	store, err := b.Store(messages.BucketNodes)
	if err != nil {
		x.add("clock", note, "", "not compared with the server's: %v", err)
		return
	}
	key := "doctor_" + x.cfg.Node.Name
	began := x.e.clock.Now()
	revision, err := store.Put(ctx, key, []byte("{}"))
	if err != nil {
		x.add("queue storage", bad, "see that the disk the queue's server stores on has space; what the server logs says more", "the queue does not take what is written to it: %v", err)
		return
	}
	value, err := store.Get(ctx, key)
	ended := x.e.clock.Now()
	if deleteErr := store.Delete(ctx, key, revision); err == nil {
		err = deleteErr
	}
	if err != nil {
		x.add("clock", note, "", "not compared with the server's: %v", err)
		return
	}
	skew := value.Time.Sub(began.Add(ended.Sub(began) / 2))
	if skew.Abs() > skewLimit {
		x.clockOff("the queue's server", skew)
		return
	}
	x.add("clock", good, "", "%s from the server's", terminal.Duration(skew.Abs().Round(time.Millisecond)))
}
