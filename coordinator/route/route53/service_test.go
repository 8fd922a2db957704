package route53

import (
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const (
	zoneID    = "Z0123456789ABCDEFGHIJ"
	accessKey = "AKIDEXAMPLE"
	secretKey = "wJalrXUtnFEMI-bPxRfiCYEXAMPLEKEY"
)

// service speaks the part of Route 53's protocol that is used, for one zone, and
// keeps what the documentation of ChangeResourceRecordSets promises: a batch is
// applied whole or not at all; DELETE needs name, type, TTL and values exactly as
// they are; CREATE needs that there is nothing; an alias stands alone.
type service struct {
	*httptest.Server
	mu      sync.Mutex
	sets    map[setKey]recordSet
	batches int
	answer  func(batch int) answering // how the nth batch is answered, from 1
}

// answering is what becomes of a batch.
type answering int

const (
	honestly  answering = iota
	applyLose           // applied, and the connection is broken
	loseAll             // not applied, and the connection is broken
	deny                // refused for want of rights
	failing             // the service itself fails
)

type setKey struct{ name, kind string }

type recordSet struct {
	Name       string   `xml:"Name"`
	Type       string   `xml:"Type"`
	Identifier string   `xml:"SetIdentifier,omitempty"`
	TTL        int64    `xml:"TTL"`
	Values     []string `xml:"ResourceRecords>ResourceRecord>Value"`
}

func (s recordSet) equal(o recordSet) bool {
	a, b := slices.Sorted(slices.Values(s.Values)), slices.Sorted(slices.Values(o.Values))
	return s.TTL == o.TTL && s.Identifier == o.Identifier && slices.Equal(a, b)
}

func startService(t *testing.T) *service {
	t.Helper()
	s := &service{sets: map[setKey]recordSet{}, answer: func(int) answering { return honestly }}
	for _, set := range []recordSet{
		{Name: "example.test.", Type: "SOA", TTL: 900, Values: []string{"ns hostmaster 1 7200 900 1209600 86400"}},
		{Name: "zz.example.test.", Type: "A", TTL: 60, Values: []string{"192.0.2.99"}},
		{Name: "_epoch.foreign.example.test.", Type: "TXT", TTL: 60, Values: []string{`"somebody else's"`}},
		{Name: "weighted.example.test.", Type: "A", Identifier: "half", TTL: 60, Values: []string{"192.0.2.98"}},
	} {
		s.sets[setKey{set.Name, set.Type}] = set
	}
	s.Server = httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(s.Close)
	return s
}

func (s *service) serve(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimSuffix(r.URL.Path, "/")
	signed := r.Header.Get("Authorization")
	switch {
	case !strings.HasPrefix(signed, "AWS4-HMAC-SHA256 Credential="+accessKey+"/") || !strings.Contains(signed, "/us-east-1/route53/aws4_request"):
		refuse(w, http.StatusForbidden, "SignatureDoesNotMatch", "the request is not signed by a known key")
	case path != "/2013-04-01/hostedzone/"+zoneID+"/rrset":
		refuse(w, http.StatusNotFound, "NoSuchHostedZone", "No hosted zone found with this id")
	case r.Method == http.MethodGet:
		s.list(w, r)
	default:
		s.change(w, r)
	}
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "text/xml")
	w.WriteHeader(status)
	fmt.Fprintf(w, `<?xml version="1.0"?><ErrorResponse xmlns="https://route53.amazonaws.com/doc/2013-04-01/"><Error><Type>Sender</Type><Code>%s</Code><Message>%s</Message></Error><RequestId>1</RequestId></ErrorResponse>`, code, message)
}

// reversed is a name as the service orders names: by labels, the last one first.
func reversed(name string) string {
	labels := strings.Split(strings.TrimSuffix(strings.ToLower(name), "."), ".")
	slices.Reverse(labels)
	return strings.Join(labels, ".") + "."
}

func (s *service) list(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	from := reversed(r.URL.Query().Get("name"))
	limit, err := strconv.Atoi(r.URL.Query().Get("maxitems"))
	if err != nil {
		refuse(w, http.StatusBadRequest, "InvalidInput", "maxitems")
		return
	}
	var found []recordSet
	for _, set := range s.sets {
		if reversed(set.Name) >= from {
			found = append(found, set)
		}
	}
	slices.SortFunc(found, func(a, b recordSet) int {
		return strings.Compare(reversed(a.Name)+" "+a.Type, reversed(b.Name)+" "+b.Type)
	})
	type response struct {
		XMLName   xml.Name    `xml:"https://route53.amazonaws.com/doc/2013-04-01/ ListResourceRecordSetsResponse"`
		Sets      []recordSet `xml:"ResourceRecordSets>ResourceRecordSet"`
		Truncated bool        `xml:"IsTruncated"`
		MaxItems  int         `xml:"MaxItems"`
	}
	out := response{Sets: found[:min(limit, len(found))], Truncated: len(found) > limit, MaxItems: limit}
	w.Header().Set("Content-Type", "text/xml")
	xml.NewEncoder(w).Encode(out) //nolint:errcheck // the client notices
}

type change struct {
	Action string    `xml:"Action"`
	Set    recordSet `xml:"ResourceRecordSet"`
}

func (s *service) change(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var request struct {
		Changes []change `xml:"ChangeBatch>Changes>Change"`
	}
	if err == nil {
		err = xml.Unmarshal(body, &request)
	}
	if err != nil || len(request.Changes) == 0 {
		refuse(w, http.StatusBadRequest, "InvalidInput", "the batch cannot be read")
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.batches++
	how := s.answer(s.batches)
	switch how {
	case deny:
		refuse(w, http.StatusForbidden, "AccessDenied", "not authorized to perform route53:ChangeResourceRecordSets")
		return
	case failing:
		refuse(w, http.StatusInternalServerError, "InternalFailure", "try again")
		return
	case loseAll:
		panic(http.ErrAbortHandler)
	}
	if problem := s.apply(request.Changes); problem != "" {
		refuse(w, http.StatusBadRequest, "InvalidChangeBatch", problem)
		return
	}
	if how == applyLose {
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("Content-Type", "text/xml")
	fmt.Fprintf(w, `<?xml version="1.0"?><ChangeResourceRecordSetsResponse xmlns="https://route53.amazonaws.com/doc/2013-04-01/"><ChangeInfo><Id>/change/C%d</Id><Status>PENDING</Status><SubmittedAt>2026-01-01T00:00:00Z</SubmittedAt></ChangeInfo></ChangeResourceRecordSetsResponse>`, s.batches)
}

// apply makes all changes, or none and says why.
func (s *service) apply(changes []change) string {
	fresh := map[setKey]recordSet{}
	for k, v := range s.sets {
		fresh[k] = v
	}
	for _, c := range changes {
		c.Set.Name = strings.ToLower(c.Set.Name)
		key := setKey{c.Set.Name, c.Set.Type}
		there, exists := fresh[key]
		switch {
		case c.Action == "DELETE" && !exists:
			return fmt.Sprintf("Tried to delete resource record set [name='%s', type='%s'] but it was not found", key.name, key.kind)
		case c.Action == "DELETE" && !there.equal(c.Set):
			return fmt.Sprintf("Tried to delete resource record set [name='%s', type='%s'] but the values provided do not match the current values", key.name, key.kind)
		case c.Action == "DELETE":
			delete(fresh, key)
		case c.Action == "CREATE" && exists:
			return fmt.Sprintf("Tried to create resource record set [name='%s', type='%s'] but it already exists", key.name, key.kind)
		case c.Action == "CREATE":
			fresh[key] = c.Set
		default:
			return "unknown action " + c.Action
		}
	}
	names := map[string]int{}
	for key := range fresh {
		names[key.name]++
	}
	for key := range fresh {
		if key.kind == "CNAME" && names[key.name] > 1 {
			return fmt.Sprintf("RRSet of type CNAME with DNS name %s is not permitted as other records exist", key.name)
		}
	}
	s.sets = fresh
	return ""
}

// values are those of a record set as they are now.
func (s *service) values(name, kind string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.sets[setKey{name, kind}].Values, ",")
}
