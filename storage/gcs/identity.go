package gcs

import (
	"encoding/json"
	"errors"
	"net/http"
	"sync"

	"cloud.google.com/go/auth"
	"cloud.google.com/go/auth/credentials"
	"cloud.google.com/go/auth/httptransport"

	"mahavishnu/fault"
	"mahavishnu/storage/objects"
)

// scope is what tokens are good for: everything about objects, and nothing else.
const scope = "https://www.googleapis.com/auth/devstorage.full_control"

// identity adds a token to requests. Credentials are looked for when the first
// request is made, and again when a server has refused them: a file may have been
// renewed meanwhile.
type identity struct {
	next   http.RoundTripper
	tokens *http.Client // asks for tokens
	json   string       // credentials by value
	file   string

	mu    sync.Mutex
	found *auth.Credentials
}

// credentialsError is a failure to get a token.
type credentialsError struct{ err error }

func (e *credentialsError) Error() string { return e.err.Error() }
func (e *credentialsError) Unwrap() error { return e.err }

// RoundTrip sends the request with a token.
func (i *identity) RoundTrip(r *http.Request) (*http.Response, error) {
	refuse := func(err error) (*http.Response, error) {
		if r.Body != nil {
			_ = r.Body.Close() // a RoundTripper closes it, come what may
		}
		return nil, &credentialsError{err}
	}
	creds, err := i.credentials()
	if err != nil {
		return refuse(err)
	}
	token, err := creds.Token(r.Context())
	if err != nil {
		return refuse(err)
	}
	r = r.Clone(r.Context())
	httptransport.SetAuthHeader(token, r)
	resp, err := i.next.RoundTrip(r)
	if err == nil && resp.StatusCode == http.StatusUnauthorized {
		i.refused(creds)
	}
	return resp, err
}

// CloseIdleConnections lets http.Client close what is pooled.
func (i *identity) CloseIdleConnections() {
	i.tokens.CloseIdleConnections()
	if next, ok := i.next.(interface{ CloseIdleConnections() }); ok {
		next.CloseIdleConnections()
	}
}

func (i *identity) credentials() (*auth.Credentials, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.found != nil {
		return i.found, nil
	}
	found, err := i.find()
	if err != nil {
		return nil, err
	}
	i.found = found
	return found, nil
}

// refused forgets credentials that a server did not take.
func (i *identity) refused(creds *auth.Credentials) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.found == creds {
		i.found = nil
	}
}

// find looks for credentials: by value, in the file, by the standard chain.
func (i *identity) find() (*auth.Credentials, error) {
	o := &credentials.DetectOptions{Scopes: []string{scope}, Client: i.tokens, DisableAsyncRefresh: true}
	text := i.json
	if i.file != "" {
		secret, err := objects.Secret(i.file)
		if err != nil {
			return nil, err
		}
		text = secret
	}
	if text == "" {
		return credentials.DetectDefault(o)
	}
	kind, err := kindOf(text)
	if err != nil {
		return nil, err
	}
	return credentials.NewCredentialsFromJSON(kind, []byte(text), o)
}

// kindOf returns the kind of credentials in JSON. What a decoder says of wrong ones
// is left out, since it quotes them.
func kindOf(text string) (credentials.CredType, error) {
	var head struct {
		Type string `json:"type"`
	}
	if err := json.Unmarshal([]byte(text), &head); err != nil || head.Type == "" {
		return "", fault.New(opOpen, "the credentials", errors.New("not credentials in JSON"),
			"download the key of a service account as JSON, or make a file with `gcloud iam workload-identity-pools create-cred-config`")
	}
	return credentials.CredType(head.Type), nil
}
