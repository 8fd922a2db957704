package azure_test

import (
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"mahavishnu/storage/azure"
	"mahavishnu/storage/storagetest"
	"mahavishnu/storage/storagetest/servers"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Many tests share a server, which takes its time to start: each has a container of its own.
func TestServer(t *testing.T) {
	s := servers.Azure(t)
	for name, test := range map[string]func(*testing.T, *servers.AzureServer){
		"Archive":                  testArchive,
		"BrokenTransfers":          testBrokenTransfers,
		"Credentials":              testCredentials,
		"DeleteWithoutVersions":    testDeleteWithoutVersions,
		"ExpiredSignature":         testExpiredSignature,
		"MissingContainer":         testMissingContainer,
		"RangesThatChangeOnTheWay": testRangesThatChangeOnTheWay,
		"RefusedCredentials":       testRefusedCredentials,
		"Requests":                 testRequests,
		"RetentionThatIsOff":       testRetentionThatIsOff,
		"RightsThatABackupNeeds":   testRightsThatABackupNeeds,
		"WithoutPrefix":            testWithoutPrefix,
	} {
		t.Run(name, func(t *testing.T) {
			own := *s
			own.Container = strings.ToLower(name)
			s.MakeContainer(own.Container)
			test(t, &own)
		})
	}
}

// configure returns what opens a prefix of the server's container with its account's key.
func configure(s *servers.AzureServer, prefix string) azure.Config {
	return azure.Config{Container: s.Container, Prefix: prefix, Endpoint: s.Endpoint(), Account: s.Account, AccountKey: s.Key}
}

// unserved returns what opens a place whose requests are all answered by the test.
func unserved(seen *storagetest.Tap) azure.Config {
	return azure.Config{
		Container: "backups", Prefix: "p", Endpoint: "http://127.0.0.1:1", Account: "devstoreaccount1", AccountKey: "aGVsbG8=", Wrap: seen.Wrap,
	}
}

func open(t testing.TB, c azure.Config) *azure.Backend {
	t.Helper()
	be, err := azure.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := be.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return be
}

// alone takes away what the machine's own environment would say of credentials.
func alone(t *testing.T) {
	t.Helper()
	for _, setting := range os.Environ() {
		name, _, _ := strings.Cut(setting, "=")
		if strings.HasPrefix(name, "AZURE_") || strings.HasPrefix(name, "IDENTITY_") || strings.HasPrefix(name, "MSI_") || strings.HasPrefix(name, "IMDS_") {
			t.Setenv(name, "")
			if err := os.Unsetenv(name); err != nil { // Setenv brings it back
				t.Fatal(err)
			}
		}
	}
}

// The kit that all object stores are tested with.
var (
	put           = storagetest.Put
	read          = storagetest.Read
	wantText      = storagetest.WantText
	wantTemporary = storagetest.WantTemporary
	noise         = storagetest.Noise
)

// tapped returns a tap that shows what is asked of a blob, and of which version.
func tapped(answer func(http.RoundTripper, *http.Request) (*http.Response, error)) *storagetest.Tap {
	return &storagetest.Tap{Answer: answer, Query: storagetest.Values("comp", "versionid")}
}

// taken returns the requests that were made, and their headers.
func taken(p *storagetest.Tap) ([]string, []http.Header) {
	seen := p.Take()
	return seen.Asked, seen.Headers
}

// say is an answer of the server's kind.
func say(r *http.Request, status int, code string, header ...string) *http.Response {
	body := ""
	if status >= http.StatusMultipleChoices {
		body = "<?xml version=\"1.0\"?><Error><Code>" + code + "</Code><Message>What the server says.</Message></Error>"
	}
	return sayBody(r, status, body, append(slices.Clone(header), "X-Ms-Error-Code", code)...)
}

// sayBody is an answer with a body of one's own.
func sayBody(r *http.Request, status int, body string, header ...string) *http.Response {
	return storagetest.Reply(r, status, body, append(slices.Clone(header), "Content-Type", "application/xml", "X-Ms-Request-Id", "REQUEST1")...)
}
