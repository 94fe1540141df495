// Package stock keeps count of what is reserved.
package stock

import "sync"

// Ledger counts reserved units by article.
type Ledger struct {
	mu       sync.Mutex
	reserved map[string]int
}

// New returns a ledger. A ledger restored from a snapshot does not pass through here.
func New() *Ledger {
	return &Ledger{reserved: map[string]int{}}
}

// Reserve adds units to an article.
func (l *Ledger) Reserve(article string, units int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reserved[article] += units
	return l.reserved[article]
}
