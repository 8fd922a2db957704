package standby

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"reflect"
	"strings"
	"time"

	"mahavishnu/fault"
)

// HTTPOptions say where a service's endpoints are.
type HTTPOptions struct {
	// Endpoint is the URL that /health, /fence, /promote, /demote and /rejoin are below.
	Endpoint string `json:"endpoint"`
	// Service is the service's name, Member the member's.
	Service string `json:"service"`
	Member  string `json:"member,omitempty"`
	// TokenFile, when set, holds a bearer token; it is read anew for each call.
	TokenFile string `json:"token_file,omitempty"`
	// TLS is the client's side of HTTPS; nil is the system's roots.
	TLS *tls.Config `json:"-"`
	// ProbeTimeout bounds one look; 0 is one second.
	ProbeTimeout time.Duration `json:"probe_timeout,omitempty"`
	// Stop, when set, is what ends a service that does not carry out a fence.
	Stop Stop `json:"stop,omitzero"`
}

const (
	defaultProbe = time.Second
	// answerMax is how much of an answer is read, in bytes.
	answerMax = 64 << 10
)

// HTTP is a service with endpoints.
type HTTP struct {
	o      HTTPOptions
	client *http.Client
}

// NewHTTP returns the driver of a service with endpoints.
func NewHTTP(o HTTPOptions) (*HTTP, error) {
	u, err := url.Parse(o.Endpoint)
	switch {
	case err != nil:
		return nil, fault.New("reach the service", o.Service, errors.New("its endpoint is no URL"), "")
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return nil, fault.New("reach the service", o.Service, fmt.Errorf("its endpoint is %q", u.Redacted()), "give an http or https URL with a host")
	case u.User != nil || u.RawQuery != "":
		return nil, fault.New("reach the service", o.Service, errors.New("its endpoint carries a password or a query"), "put a token into a file and name it")
	}
	if o.ProbeTimeout <= 0 {
		o.ProbeTimeout = defaultProbe
	}
	o.Endpoint = strings.TrimSuffix(o.Endpoint, "/")
	// Each call has a connection of its own: a server that hangs answers on none, and one that
	// was replaced is met at once.
	transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: o.TLS, Proxy: http.ProxyFromEnvironment}
	return &HTTP{o: o, client: &http.Client{
		Transport: transport,
		// An order must reach whom it is meant for.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// healthJSON is a health as services answer it.
type healthJSON struct {
	Role       Role    `json:"role"`
	Writable   bool    `json:"writable"`
	Timeline   uint64  `json:"timeline"`
	Position   string  `json:"position"`
	Streaming  bool    `json:"streaming"`
	LagBytes   int64   `json:"lag_bytes"`
	LagSeconds float64 `json:"lag_seconds"`
	Detail     string  `json:"detail"`
}

// decodeHealth reads what a service or a command says of itself. What is no such
// document tells nothing but that somebody answers.
func decodeHealth(data []byte) Health {
	var j healthJSON
	err := json.Unmarshal(data, &j)
	var wrong *json.UnmarshalTypeError
	switch {
	case errors.As(err, &wrong) && wrong.Field != "":
		return unusable(fmt.Sprintf("its answer about its health cannot be used: %s is a %s, and has to be a %s", wrong.Field, wrong.Value, kindName(wrong.Type)))
	case len(bytes.TrimSpace(data)) == 0:
		return unusable("its answer about its health is empty, and has to tell its role")
	case err != nil || !bytes.HasPrefix(bytes.TrimSpace(data), []byte("{")):
		return unusable("its answer about its health is no JSON object that tells its role: " + quote(data))
	}
	h := Health{
		Running: true, Role: j.Role, Writable: j.Writable, Timeline: j.Timeline, Position: j.Position, Streaming: j.Streaming,
		LagBytes: max(j.LagBytes, 0), Detail: j.Detail,
	}
	if j.LagSeconds > 0 && j.LagSeconds < float64(maxLag/time.Second) {
		h.LagTime = time.Duration(j.LagSeconds * float64(time.Second))
	}
	switch h.Role {
	case Primary, Standby, Unknown:
	default:
		h.Role, h.Wrong = Unknown, "its answer about its health does not tell its role: primary, standby or unknown"
		if j.Role != "" {
			h.Wrong = fmt.Sprintf("its answer about its health says that its role is %s, and has to say primary, standby or unknown", quote([]byte(j.Role)))
		}
	}
	return h
}

// unusable is what is known of a member that answers something else than it should.
func unusable(why string) Health { return Health{Running: true, Role: Unknown, Wrong: why} }

// kindName is what JSON calls a type.
func kindName(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "string"
	case reflect.Bool:
		return "boolean"
	case reflect.Uint64, reflect.Int64:
		return "whole number"
	}
	return "number"
}

// maxLag is longer than any lag that means something.
const maxLag = 10 * 365 * 24 * time.Hour

// Health asks the service.
func (d *HTTP) Health(ctx context.Context) (Health, error) {
	ctx, cancel := context.WithTimeout(ctx, d.o.ProbeTimeout)
	defer cancel()
	status, body, err := d.call(ctx, http.MethodGet, "/health", nil)
	if err != nil {
		return Health{Role: Unknown}, fault.New("look at the service", d.o.Service, err, "")
	}
	switch status {
	case http.StatusOK, http.StatusNoContent:
		return decodeHealth(body), nil
	case http.StatusServiceUnavailable:
		h := decodeHealth(body)
		h.Writable = false
		return h, nil
	}
	return Health{Running: true, Role: Unknown}, fault.New("look at the service", d.o.Service, fmt.Errorf("it answers %d%s", status, says(body)), "")
}

// order is the body of what changes something.
type order struct {
	Service string       `json:"service"`
	Epoch   uint64       `json:"epoch"`
	Primary *primaryJSON `json:"primary,omitempty"`
}

type primaryJSON struct {
	Name    string `json:"name"`
	Address string `json:"address"`
}

// Fence orders the service to take no more writes. One whose process is gone takes none: the
// error is [ErrUndelivered] then, as it is for one that had to be ended.
func (d *HTTP) Fence(ctx context.Context, epoch uint64) error {
	return d.o.Stop.after(ctx, caller{d.o.Service, d.o.Member}, epoch, func(ctx context.Context) error {
		err := d.order(ctx, fenceVerb, order{Service: d.o.Service, Epoch: epoch})
		switch {
		case err == nil, errors.Is(err, ErrStale):
			return err
		case absent(ctx, d.o.Endpoint) == nil:
			return fault.New(fenceVerb+" the service", d.o.Service, fmt.Errorf("nobody listens at %s, so that it takes no writes: %w", d.o.Endpoint, ErrUndelivered), "")
		case errors.Is(err, refused):
			return fault.WithHint(err, elsewhereHint)
		}
		return err
	})
}

// Promote orders the service to take writes.
func (d *HTTP) Promote(ctx context.Context, epoch uint64) error {
	return d.order(ctx, "promote", order{Service: d.o.Service, Epoch: epoch})
}

// Demote orders the service to stop taking writes.
func (d *HTTP) Demote(ctx context.Context, epoch uint64) error {
	return d.order(ctx, "demote", order{Service: d.o.Service, Epoch: epoch})
}

// Rejoin orders the service to follow a primary.
func (d *HTTP) Rejoin(ctx context.Context, primary Peer, epoch uint64) error {
	return d.order(ctx, "rejoin", order{Service: d.o.Service, Epoch: epoch, Primary: &primaryJSON{primary.Name, primary.Address()}})
}

func (d *HTTP) order(ctx context.Context, verb string, o order) error {
	body, err := json.Marshal(o)
	if err != nil {
		return err
	}
	status, answer, err := d.call(ctx, http.MethodPost, "/"+verb, body)
	switch {
	case err != nil:
		return fault.New(verb+" the service", d.o.Service, err, "")
	case status == http.StatusConflict:
		return fault.New(verb+" the service", d.o.Service, fmt.Errorf("%w%s", ErrStale, says(answer)), "")
	case status != http.StatusOK && status != http.StatusNoContent:
		return fault.New(verb+" the service", d.o.Service, fmt.Errorf("it answers %d%s", status, says(answer)), "")
	}
	return nil
}

func (d *HTTP) call(ctx context.Context, method, path string, body []byte) (int, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, d.o.Endpoint+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if d.o.TokenFile != "" {
		token, err := os.ReadFile(d.o.TokenFile)
		if err != nil {
			return 0, nil, fmt.Errorf("read the token: %w", err)
		}
		req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	}
	resp, err := d.client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, answerMax))
	return resp.StatusCode, answer, err
}

// quote renders the beginning of what a service said for a sentence.
func quote(text []byte) string {
	const most = 200
	return strings.Join(strings.Fields(strings.ToValidUTF8(string(text[:min(len(text), most)]), "")), " ")
}

// says is the end of a sentence that tells what a service said, if it said anything.
func says(text []byte) string {
	if s := quote(text); s != "" {
		return ": " + s
	}
	return ""
}
