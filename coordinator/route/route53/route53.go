package route53

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/route53"
	"github.com/aws/aws-sdk-go-v2/service/route53/types"
	"github.com/aws/smithy-go"

	"mahavishnu/clock"
	"mahavishnu/coordinator/route"
	"mahavishnu/fault"
)

const (
	defaultTimeout = 10 * time.Second
	// controlPlane is the region that requests to Route 53 are signed for.
	controlPlane = "us-east-1"
	// page is how many record sets are asked for at one name; there are fewer types.
	page = 100
)

// Options say which name in which zone. Zone and Name are required.
type Options struct {
	// Zone is the hosted zone's id, as "Z0123456789ABCDEFGHIJ".
	Zone string
	// Name is what clients use.
	Name route.Name
	// AccessKey, SecretKey and SessionToken are credentials by value; "" for the
	// standard chain: environment, shared files, web identity, container, instance.
	AccessKey, SecretKey, SessionToken string
	// Profile is the profile of the shared files to take; "" for AWS_PROFILE or
	// "default".
	Profile string
	// Endpoint is the service's URL; "" for AWS.
	Endpoint string
	// Timeout bounds one request with its repetitions; 0 is 10 seconds.
	Timeout time.Duration
	// Clock is nil outside tests.
	Clock clock.Clock
}

// zone is a hosted zone, as a route.Register.
type zone struct {
	id      string
	name    route.Name
	timeout time.Duration
	clock   clock.Clock
	client  *route53.Client
}

// New returns a router by Route 53. Nothing is sent yet; see Check.
func New(ctx context.Context, o Options) (route.Router, error) {
	z := &zone{id: strings.TrimPrefix(o.Zone, "/hostedzone/"), name: o.Name, timeout: o.Timeout, clock: clock.Or(o.Clock)}
	if z.timeout <= 0 {
		z.timeout = defaultTimeout
	}
	err := o.Name.Check()
	if z.id == "" || strings.ContainsAny(z.id, "/?#. ") {
		err = errors.Join(err, fmt.Errorf("%q is no id of a hosted zone", o.Zone))
	}
	if err != nil {
		return nil, fault.New("route by Route 53 in", o.Zone, err, "see the service's route in the configuration")
	}
	load := []func(*config.LoadOptions) error{
		config.WithRegion(controlPlane),
		config.WithHTTPClient(awshttp.NewBuildableClient().WithTimeout(z.timeout)),
	}
	if o.Profile != "" {
		load = append(load, config.WithSharedConfigProfile(o.Profile))
	}
	if o.AccessKey != "" {
		load = append(load, config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider(o.AccessKey, o.SecretKey, o.SessionToken)))
	}
	loaded, err := config.LoadDefaultConfig(ctx, load...)
	if err != nil {
		return nil, fault.New("route by Route 53 in", o.Zone, err, "see the AWS profile and credentials of this machine")
	}
	z.client = route53.NewFromConfig(loaded, func(c *route53.Options) {
		if o.Endpoint != "" {
			c.BaseEndpoint = aws.String(o.Endpoint)
		}
	})
	return z, nil
}

// Point implements route.Router.
func (z *zone) Point(ctx context.Context, t route.Target, epoch uint64) error {
	if _, err := z.name.Records(t); err != nil {
		return fault.New("point clients at", t.Member, err, "see the members of the service in the configuration")
	}
	return route.Advance(ctx, z, z.name.Seen(t), epoch)
}

// Current implements route.Router. It reads the mark before and after the records:
// marks only grow, so when both are the same, the records are of that epoch.
func (z *zone) Current(ctx context.Context) (route.Target, uint64, error) {
	held, err := z.steady(ctx)
	return held.Target, held.Epoch, err
}

func (z *zone) steady(ctx context.Context) (route.Held, error) {
	before, err := z.Read(ctx)
	for try := range 20 {
		if err == nil && try > 0 { // coordinators race: let them
			err = z.clock.Sleep(ctx, time.Duration(try)*20*time.Millisecond)
		}
		if err != nil {
			return route.Held{}, err
		}
		var after route.Held
		if after, err = z.Read(ctx); err == nil && route.MarkOf(before.State) == route.MarkOf(after.State) && before.Target.Equal(after.Target) {
			return after, nil
		}
		before = after
	}
	return route.Held{}, fault.New("ask where clients are led in", z.id, errors.New("it changes faster than it can be read"), "")
}

// Check implements route.Router. It replaces what is there by itself, on the
// condition that it still is: that takes every right Point needs. While nothing was
// ever pointed at, it only reads.
func (z *zone) Check(ctx context.Context) error {
	held, err := z.steady(ctx)
	if err != nil || held.Epoch == 0 {
		return err
	}
	if err := z.Swap(ctx, held, held.State); !errors.Is(err, route.ErrChanged) {
		return err
	}
	return nil // somebody points clients elsewhere this very moment
}

// Read implements route.Register. Its Exact are the record sets as they are.
func (z *zone) Read(ctx context.Context) (route.Held, error) {
	held, err := z.read(ctx)
	if err != nil {
		return route.Held{}, fault.New("ask where clients are led in", z.id, err, hint(err))
	}
	return held, nil
}

func (z *zone) read(ctx context.Context) (route.Held, error) {
	marks, err := z.sets(ctx, z.name.Epoch(), []string{"TXT"})
	if err != nil {
		return route.Held{}, err
	}
	records, err := z.sets(ctx, z.name.FQDN(), z.name.Types())
	if err != nil {
		return route.Held{}, err
	}
	held := route.Held{Exact: slices.Concat(marks, records)}
	if len(marks) == 0 {
		return held, nil // what is there was never ours to tell of
	}
	mark, err := parseMark(marks[0])
	if err != nil {
		return route.Held{}, fault.New("read", z.name.Epoch(), err, "somebody else wrote this TXT record; remove it if nothing else uses it")
	}
	var plain []route.Record
	for _, set := range records {
		for _, r := range set.ResourceRecords {
			plain = append(plain, route.Record{Name: z.name.FQDN(), Type: string(set.Type), Value: aws.ToString(r.Value)})
		}
	}
	held.Epoch = mark.Epoch
	held.Target, err = z.name.Target(mark.Member, plain)
	return held, err
}

// sets are the record sets of some types at a name.
func (z *zone) sets(ctx context.Context, name string, kinds []string) ([]types.ResourceRecordSet, error) {
	ctx, cancel := context.WithTimeout(ctx, z.timeout)
	defer cancel()
	// Names are listed in an order, from this one on.
	out, err := z.client.ListResourceRecordSets(ctx, &route53.ListResourceRecordSetsInput{
		HostedZoneId: aws.String(z.id), StartRecordName: aws.String(name), MaxItems: aws.Int32(page),
	})
	if err != nil {
		return nil, err
	}
	var found []types.ResourceRecordSet
	for _, set := range out.ResourceRecordSets {
		if !strings.EqualFold(aws.ToString(set.Name), name) || !slices.Contains(kinds, string(set.Type)) {
			continue
		}
		if set.SetIdentifier != nil {
			return nil, fmt.Errorf("%s has a routing policy (%s): only plain records can be fenced", name, aws.ToString(set.SetIdentifier))
		}
		found = append(found, set)
	}
	return found, nil
}

// Swap implements route.Register.
func (z *zone) Swap(ctx context.Context, old route.Held, next route.State) error {
	fresh, err := z.wanted(next)
	if err != nil {
		return fault.New("point clients at", next.Target.Member, err, "")
	}
	var changes []types.Change
	there, _ := old.Exact.([]types.ResourceRecordSet)
	for _, set := range there {
		changes = append(changes, types.Change{Action: types.ChangeActionDelete, ResourceRecordSet: &set})
	}
	for _, set := range fresh {
		changes = append(changes, types.Change{Action: types.ChangeActionCreate, ResourceRecordSet: &set})
	}
	limited, cancel := context.WithTimeout(ctx, z.timeout)
	defer cancel()
	_, err = z.client.ChangeResourceRecordSets(limited, &route53.ChangeResourceRecordSetsInput{
		HostedZoneId: aws.String(z.id),
		ChangeBatch:  &types.ChangeBatch{Changes: changes, Comment: aws.String(route.MarkOf(next).String())},
	})
	if err == nil {
		return nil
	}
	return fault.New("change "+z.name.FQDN()+" in", z.id, judge(err), hint(err))
}

// judge says what an error of a change means. Repetitions by the library are
// harmless: a batch that was applied does not apply again.
func judge(err error) error {
	var invalid *types.InvalidChangeBatch
	if errors.As(err, &invalid) {
		return fmt.Errorf("%w: %w", route.ErrChanged, err)
	}
	var refused smithy.APIError
	if errors.As(err, &refused) && refused.ErrorFault() == smithy.FaultClient {
		return err
	}
	var answered interface{ HTTPStatusCode() int }
	if errors.As(err, &answered) && answered.HTTPStatusCode() >= 400 && answered.HTTPStatusCode() < 500 {
		return err
	}
	return fmt.Errorf("%w: %w", route.ErrUnknown, err)
}

func hint(err error) string {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return "see that this machine reaches route53.amazonaws.com and has AWS credentials"
	}
	switch api.ErrorCode() {
	case "NoSuchHostedZone":
		return "give the hosted zone's id, which the console shows beside its name"
	case "AccessDenied", "AccessDeniedException", "SignatureDoesNotMatch", "InvalidClientTokenId":
		return "the identity needs route53:ListResourceRecordSets and route53:ChangeResourceRecordSets on the zone"
	}
	return ""
}

// wanted are the record sets of a state.
func (z *zone) wanted(s route.State) ([]types.ResourceRecordSet, error) {
	records, err := z.name.Records(s.Target)
	if err != nil {
		return nil, err
	}
	var quoted []string
	for _, part := range route.MarkOf(s).Strings() {
		quoted = append(quoted, `"`+part+`"`)
	}
	sets := []types.ResourceRecordSet{z.set(z.name.Epoch(), "TXT", strings.Join(quoted, " "))}
	for _, kind := range z.name.Types() {
		var values []string
		for _, r := range records {
			if r.Type == kind {
				values = append(values, r.Value)
			}
		}
		if len(values) > 0 {
			sets = append(sets, z.set(z.name.FQDN(), kind, values...))
		}
	}
	return sets, nil
}

func (z *zone) set(name, kind string, values ...string) types.ResourceRecordSet {
	s := types.ResourceRecordSet{Name: aws.String(name), Type: types.RRType(kind), TTL: aws.Int64(int64(z.name.Seconds()))}
	for _, v := range values {
		s.ResourceRecords = append(s.ResourceRecords, types.ResourceRecord{Value: aws.String(v)})
	}
	return s
}

func parseMark(set types.ResourceRecordSet) (route.Mark, error) {
	if len(set.ResourceRecords) != 1 {
		return route.Mark{}, fmt.Errorf("it holds %d TXT records instead of one", len(set.ResourceRecords))
	}
	var parts []string
	for word := range strings.FieldsSeq(aws.ToString(set.ResourceRecords[0].Value)) {
		parts = append(parts, strings.Trim(word, `"`))
	}
	return route.ParseMark(parts)
}
