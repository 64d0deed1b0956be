// Unsafe: `@unchecked Sendable` and raw pointers. `Answer` is a semaphore of the system, which any
// thread may use until its last owner lets go; a `ThreadBody` goes with its one reference to the
// thread that is made for it.

import CProcessors
import Glibc

/// A semaphore of the system, as the C programs have.
final class Answer: @unchecked Sendable {
    private let semaphore = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)

    init() {
        sem_init(semaphore, 0, 0)
    }

    deinit {
        sem_destroy(semaphore)
        semaphore.deallocate()
    }

    func give() {
        sem_post(semaphore)
    }

    func wait() {
        while sem_wait(semaphore) != 0 {}
    }
}

private final class ThreadBody {
    let run: @Sendable () -> Void

    init(_ run: @escaping @Sendable () -> Void) {
        self.run = run
    }
}

func spawnThread(_ body: @escaping @Sendable () -> Void) -> pthread_t {
    var thread = pthread_t()
    let argument = Unmanaged.passRetained(ThreadBody(body)).toOpaque()
    let result = pthread_create(
        &thread, nil,
        { argument in
            if let argument { Unmanaged<ThreadBody>.fromOpaque(argument).takeRetainedValue().run() }
            return nil
        }, argument)
    precondition(result == 0, "no thread")
    return thread
}

/// The first two processors that the process may use; asked before a thread stays on one.
private let processors: [Int32]? = {
    var numbers: [Int32] = [0, 0]
    return two_processors(&numbers) ? numbers : nil
}()

/// Keeps the calling thread on the first or second of them, so that figures of two threads do not
/// depend on where the system puts them. Does nothing where there is one only.
func stay(onProcessor number: Int) {
    if let processors { stay_on_processor(processors[number]) }
}

/// A blocking TCP connection to this machine.
func connectSocket(_ port: Int) -> Int32 {
    let socket = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = in_port_t(port).bigEndian
    address.sin_addr.s_addr = in_addr_t(0x7F00_0001).bigEndian
    let result = withUnsafePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            connect(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
        }
    }
    precondition(result == 0, "can't connect to port \(port)")
    var on: Int32 = 1
    setsockopt(socket, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
    return socket
}

/// Lets the calling thread run whenever it can, where the user may ask for that.
func putFirst() {
    var parameters = sched_param(sched_priority: 1)
    pthread_setschedparam(pthread_self(), SCHED_FIFO, &parameters)
}

/// Lets the calling thread, made by one that runs first, wait for its turn.
func putLast() {
    var parameters = sched_param(sched_priority: 0)
    pthread_setschedparam(pthread_self(), SCHED_OTHER, &parameters)
}
