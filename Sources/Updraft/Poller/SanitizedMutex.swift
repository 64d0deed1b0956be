// Unsafe: `@unchecked Sendable`, and two pointers from `init` to `deinit`: to a lock of the C
// library, which has to stay where it is, and to the value, which nobody reaches without the lock.

#if THREAD_SANITIZER
    #if canImport(Glibc)
        internal import Glibc
    #else
        internal import Darwin
    #endif

    /// In place of `Synchronization.Mutex` in builds for ThreadSanitizer; see `scripts/test`.
    ///
    /// A `Mutex` that is contended is handed over by the kernel, on the word of a part of the
    /// standard library that ThreadSanitizer does not see, so that it takes whatever the lock
    /// guards for a race. It knows the locks of the C library.
    package struct SanitizedMutex<Value: ~Copyable>: ~Copyable, @unchecked Sendable {
        private let lock: UnsafeMutablePointer<pthread_mutex_t>
        private let value: UnsafeMutablePointer<Value>

        package init(_ initial: consuming sending Value) {
            lock = .allocate(capacity: 1)
            value = .allocate(capacity: 1)
            pthread_mutex_init(lock, nil)
            value.initialize(to: initial)
        }

        deinit {
            value.deinitialize(count: 1)
            value.deallocate()
            pthread_mutex_destroy(lock)
            lock.deallocate()
        }

        package borrowing func withLock<Result: ~Copyable, E: Error>(
            _ body: (inout sending Value) throws(E) -> sending Result
        ) throws(E) -> sending Result {
            pthread_mutex_lock(lock)
            defer { pthread_mutex_unlock(lock) }
            return try body(&value.pointee)
        }
    }

    typealias Mutex = SanitizedMutex
#endif
