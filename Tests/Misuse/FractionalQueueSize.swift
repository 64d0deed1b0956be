// A queue's size is a whole number: contract row 3.7.q24.

import Updraft

nonisolated func makeQueueOfAFractionalSize(_ loop: IOLoop) {
    _ = Queue<Int>(maxSize: 1.3, loop: loop)  // error: cannot convert value of type 'Double'
}
